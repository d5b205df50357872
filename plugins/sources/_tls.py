"""TLS of stream listeners: the certificate, who may connect, and reading both again."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from typing import Literal

from datto_siem.plugins.options import option
from datto_siem.plugins.secret import Secret, SecretMissing

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tls:
    """How a listener proves itself, and whether its clients must."""

    cert: str = option("PEM file of our certificate, those of its issuers after it")
    key: str | None = option("PEM file of its key; absent: it is in cert", None)
    key_password: Secret | None = option("Password of the key", None)
    ca_file: str | None = option("PEM file of the authorities that sign client certificates", None)
    client_auth: Literal["none", "optional", "required"] = option(
        "Whether clients show a certificate", "none"
    )

    def __post_init__(self) -> None:
        """Check what the schema cannot."""
        if self.client_auth != "none" and self.ca_file is None:
            raise ValueError("tls.client_auth: whose certificates? Set tls.ca_file")


class BadCertificate(OSError):
    """A certificate, key or authority cannot be used; the message says which and why."""


class Certificates:
    """The TLS context of a listener; connections that are open keep theirs.

    Args:
        tls: Its options.
        name: The listener, for logs.

    Raises:
        BadCertificate: They cannot be used.
    """

    def __init__(self, tls: Tls, name: str) -> None:
        """Read the files."""
        self._tls, self._name = tls, name
        self.context = _context(tls)

    def reload(self) -> None:
        """Read the files again; when they cannot be used, go on with what there was."""
        try:
            self.context = _context(self._tls)
        except BadCertificate as error:
            _LOG.error("%s: going on with the old certificate: %s", self._name, error)
        else:
            _LOG.info("%s: certificate read again", self._name)


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a client could ask for it all day
    # Senders never read, and a ticket left unread turns their close into a reset, which destroys
    # what they sent before it.
    context.num_tickets = 0
    try:
        # Without a password OpenSSL would ask for one on the terminal.
        password = tls.key_password.value() if tls.key_password else ""
        context.load_cert_chain(tls.cert, tls.key, lambda: password)
    except SecretMissing as error:
        raise BadCertificate(f"tls.key_password: {error}") from None
    except (OSError, ValueError) as error:
        files = tls.cert if tls.key is None else f"{tls.cert} with {tls.key}"
        raise BadCertificate(f"cannot use {files}: {_reason(error)}") from None
    if tls.ca_file is not None:
        try:
            context.load_verify_locations(tls.ca_file)
        except OSError as error:
            raise BadCertificate(f"cannot use {tls.ca_file}: {_reason(error)}") from None
    context.verify_mode = {
        "none": ssl.CERT_NONE,
        "optional": ssl.CERT_OPTIONAL,
        "required": ssl.CERT_REQUIRED,
    }[tls.client_auth]
    return context


def _reason(error: Exception) -> str:
    """Why, in words: OpenSSL's own are codes."""
    if isinstance(error, ssl.SSLError):
        return f"no PEM file of the right kind, or key and certificate differ ({error.reason})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
