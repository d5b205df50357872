"""Whether the listeners of a configuration can listen here: ports, certificates, files."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datto_siem.plugins.secret import SecretMissing
from datto_siem.plugins.sink import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datto_siem.plugins.forwarder.configuration import Listen

_SOON = 30 * 86400.0
_RENEW = "renew it, and check that key and certificate belong together and that we may read them"


def check(listen: Listen, running: bool) -> Iterator[Finding]:
    """Look at one listener.

    Args:
        listen: The listener.
        running: Whether a forwarder of this configuration runs, which then holds the ports.
    """
    address = getattr(listen.config, "address", None)
    if isinstance(address, str):
        yield _port(address, listen.common.type == "udp", running)
    tls = getattr(listen.config, "tls", None)
    if getattr(tls, "cert", None) is not None:
        yield _certificate(tls)
    for pattern in getattr(listen.config, "paths", ()):
        yield _files(pattern)


def _port(address: str, datagrams: bool, running: bool) -> Finding:
    """Whether an address is free, or ours."""
    what = f"{'UDP' if datagrams else 'TCP'} {address}"
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
    with socket.socket(family, kind) as trial:
        if not datagrams:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, int(port)))
        except OSError as error:
            return _taken(what, error, running)
    if running:
        said = "nothing listens, though the forwarder runs"
        return Finding(Level.FAULT, what, said, "see its log for why; `forward status` shows it")
    return Finding(Level.GOOD, what, "free")


def _taken(what: str, error: OSError, running: bool) -> Finding:
    if error.errno == errno.EADDRINUSE and running:
        return Finding(Level.GOOD, what, "in use, by the forwarder that runs")
    remedies = {
        errno.EADDRINUSE: "`ss -lnptu` shows by whom; end that, or listen on another port",
        errno.EACCES: "use a port from 1024, or give CAP_NET_BIND_SERVICE as the shipped unit does",
        errno.EADDRNOTAVAIL: "no interface has this address: use 0.0.0.0 or one that is there",
    }
    remedy = remedies.get(error.errno or 0, "check the address")
    return Finding(Level.FAULT, what, error.strerror or str(error), remedy)


def _certificate(tls: Any) -> Finding:
    """Whether the certificate can be used and for how long."""
    what = f"certificate {tls.cert}"
    password = getattr(tls, "key_password", None)
    try:
        # without a password OpenSSL would ask on the terminal
        secret = "" if password is None else password.value()
        left = _expires(tls.cert, tls.key, secret) - time.time()
    except (OSError, ValueError, SecretMissing) as error:
        said = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error)
        return Finding(Level.FAULT, what, said, _RENEW)
    days = int(left // 86400)
    if left < _SOON:
        return Finding(Level.WARNING, what, f"ends in {days} days", "renew it, then send SIGHUP")
    return Finding(Level.GOOD, what, f"good for {days} days")


def _expires(cert: str, key: str | None, password: str) -> float:
    """When a certificate ends, by a handshake with ourselves, so that OpenSSL judges all of it."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key, password=password)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(cert)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours, theirs = client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = ours.getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(found["notAfter"])))


def _files(pattern: str) -> Finding:
    """Whether a pattern of files names any, and whether they can be read."""
    what = f"files {pattern}"
    root = Path(pattern).anchor or "."
    found = list(Path(root).glob(str(Path(pattern).relative_to(root)) if root != "." else pattern))
    for path in found:
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            return Finding(Level.FAULT, what, f"{path}: {error.strerror}", "let this user read it")
    if not found:
        return Finding(Level.WARNING, what, "there is none yet", "check the path")
    return Finding(Level.GOOD, what, f"{len(found)} found")
