"""TLS of the TCP listener: who may connect, what garbage does, certificates read again."""

from __future__ import annotations

import contextlib
import logging
import os
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from fakes.recording_intake import RecordingIntake, until
from fakes.stream_senders import Listening, ended, listening

from datto_siem.plugins.meter import Meter
from datto_siem.plugins.options import build
from datto_siem.plugins.sources import tcp
from datto_siem.plugins.sources._tls import BadCertificate

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path


class Site:
    """An authority and the files of a listener."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(str(self.ca))
        self.cert, self.key = folder / "server.pem", folder / "server.key"
        self.issue()

    def issue(self, authority: trustme.CA | None = None) -> None:
        made = (authority or self.authority).issue_cert("127.0.0.1", "localhost")
        self.cert.write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))
        self.key.write_bytes(made.private_key_pem.bytes())

    def listening(self, tls: dict[str, Any] | None = None, **options: Any) -> Any:
        given = {"cert": str(self.cert), "key": str(self.key), **(tls or {})}
        return listening(tls=given, **options)

    def client(self, authority: trustme.CA | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        if authority is not None:
            authority.issue_cert("sender@example.com").configure_cert(context)
        return context


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@contextlib.contextmanager
def secured(found: Listening, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        found.connect() as plain,
        context.wrap_socket(plain, server_hostname="localhost") as sender,
    ):
        yield sender


def answers(found: Listening, context: ssl.SSLContext) -> bool:
    """Whether a sender with this context gets a record in: a refusal may show only on reading."""
    before = len(found.intake.arrivals)
    try:
        with secured(found, context) as sender:
            sender.sendall(b"<13>hello\n")
            sender.settimeout(0.05)
            while len(found.intake.arrivals) == before:
                with contextlib.suppress(TimeoutError):
                    if sender.recv(1) == b"":
                        return False
            return True
    except OSError:
        return False


def serial(found: Listening, context: ssl.SSLContext) -> object:
    with secured(found, context) as sender:
        return (sender.getpeercert() or {})["serialNumber"]


def test_octet_counts_and_lines_over_tls(site: Site) -> None:
    with site.listening() as found:
        assert found.listener.address.startswith("tls://127.0.0.1:")
        with secured(found, site.client()) as sender:
            sender.sendall(b"8 <13>o\nne8 <13>two.")
            found.intake.wait(2)
        with secured(found, site.client()) as sender:
            sender.sendall(b"<13>three\n")
            assert found.intake.wait(3) == [b"<13>o\nne", b"<13>two.", b"<13>three"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_sender_that_closes_at_once_loses_nothing(site: Site, version: ssl.TLSVersion) -> None:
    context = site.client()
    context.minimum_version = context.maximum_version = version
    with site.listening() as found:
        for count in range(1, 21):
            with secured(found, context) as sender:
                sender.sendall(b"<13>last\n" * 1000 + b"<13>no end")
            assert len(found.intake.wait(1001 * count)) == 1001 * count


def test_old_versions_of_tls_are_refused(site: Site) -> None:
    context = site.client()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with site.listening() as found:
        assert not answers(found, context)
        until(lambda: found.refused("tls") == 1, "it is counted")


def test_client_certificates_are_required_where_asked_for(site: Site) -> None:
    wanted = {"client_auth": "required", "ca_file": str(site.ca)}
    with site.listening(wanted) as found:
        assert answers(found, site.client(site.authority))
        assert not answers(found, site.client())
        assert not answers(found, site.client(trustme.CA()))
        until(lambda: found.refused("tls") == 2, "both are counted")
        assert len(found.intake.arrivals) == 1


def test_a_wrong_client_certificate_is_refused_where_none_is_needed(site: Site) -> None:
    with site.listening({"client_auth": "optional", "ca_file": str(site.ca)}) as found:
        assert answers(found, site.client())
        assert answers(found, site.client(site.authority))
        assert not answers(found, site.client(trustme.CA()))


def test_garbage_is_counted_logged_once_and_harms_nobody(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    garbage = [
        b"<13>plain syslog\n",
        b"\x16\x03\x01\xff\xff" + os.urandom(500),
        b"GET / HTTP/1.0\r\n",
    ]
    with site.listening() as found, secured(found, site.client()) as sender:
        for count in range(30):
            with found.connect("127.0.0.2") as stranger:
                with contextlib.suppress(OSError):
                    stranger.sendall(garbage[count % 3])
                assert ended_somehow(stranger)
        until(lambda: found.refused("tls") == 30, "all are counted")
        sender.sendall(b"<13>one\n")
        assert found.intake.wait(1) == [b"<13>one"]
    told = [record for record in caplog.records if "TLS failed" in record.getMessage()]
    assert len(told) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def ended_somehow(sender: socket.socket) -> bool:
    """Wait for the end, whatever alert comes before it."""
    try:
        while sender.recv(1024):
            continue
    except ConnectionError:
        return True
    return True


def test_one_who_never_shakes_hands_is_closed(site: Site) -> None:
    with site.listening(handshake="200ms") as found, found.connect() as sender:
        sender.sendall(b"\x16\x03\x01")
        assert ended_somehow(sender)
        until(lambda: found.refused("tls") == 1, "it is counted")


def test_unfinished_handshakes_count_as_connections(site: Site) -> None:
    with site.listening(connections=2) as found, contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(found.connect())
        assert ended(stack.enter_context(found.connect()))
        until(lambda: found.refused("cap") == 1, "it is counted")


def test_a_stop_ends_unfinished_handshakes(site: Site) -> None:
    with site.listening() as found:
        sender = found.connect()
        sender.sendall(b"\x16\x03\x01")
    assert ended_somehow(sender)
    sender.close()


def test_a_new_certificate_is_taken_and_open_connections_stay(site: Site) -> None:
    with site.listening() as found, secured(found, site.client()) as sender:
        before = serial(found, site.client())
        site.issue()
        assert serial(found, site.client()) == before
        found.listener.reload()
        assert serial(found, site.client()) != before
        sender.sendall(b"<13>still here\n")
        assert found.intake.wait(1) == [b"<13>still here"]


def test_a_bad_new_certificate_leaves_the_old_one_and_says_why(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with site.listening() as found:
        before = serial(found, site.client())
        site.key.write_text("no key")
        found.listener.reload()
        assert serial(found, site.client()) == before
    assert (
        f"going on with the old certificate: cannot use {site.cert} with {site.key}" in caplog.text
    )


def test_new_client_authorities_are_taken(site: Site) -> None:
    other = trustme.CA()
    with site.listening({"client_auth": "required", "ca_file": str(site.ca)}) as found:
        mine = site.client(other)
        assert not answers(found, mine)
        other.cert_pem.write_to_path(str(site.ca), append=True)
        found.listener.reload()
        assert answers(found, mine)


def test_a_key_with_a_password(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = site.folder / "locked.key"
    subprocess.run(  # noqa: S603
        ["openssl", "pkey", "-in", site.key, "-aes256", "-passout", "pass:s3cr3t", "-out", locked],  # noqa: S607
        check=True,
    )
    tls = {"key": str(locked), "key_password": {"env": "KEY_PASSWORD"}}
    monkeypatch.setenv("KEY_PASSWORD", "s3cr3t")
    with site.listening(tls) as found:
        assert answers(found, site.client())
    for password in ("wrong", None):
        if password is None:
            del tls["key_password"]  # must not ask on the terminal
        else:
            monkeypatch.setenv("KEY_PASSWORD", password)
        with pytest.raises(BadCertificate, match="cannot use") as caught:
            site.listening(tls).__enter__()
        assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        ({"cert": "/nowhere.pem"}, "cannot use /nowhere.pem with .*: No such file"),
        ({"ca_file": "/nowhere.pem"}, "cannot use /nowhere.pem: No such file"),
        ({"key_password": {"env": "NOT_SET_HERE"}}, "tls.key_password: .* NOT_SET_HERE .* set it"),
    ],
)
def test_files_that_cannot_be_used_are_named(site: Site, tls: dict[str, Any], said: str) -> None:
    given = {"cert": str(site.cert), "key": str(site.key), **tls}
    config = build(tcp.Config, {"address": "127.0.0.1:0", "tls": given})
    with pytest.raises(BadCertificate, match=said):
        tcp.open_listener(config, RecordingIntake(), Meter(), "tls")


def test_a_pause_holds_over_tls_too(site: Site) -> None:
    intake = RecordingIntake()
    intake.full = True
    with site.listening(intake=intake) as found, secured(found, site.client()) as sender:
        sender.sendall(b"<13>one\n")
        found.intake.wait(1)
        sender.sendall(b"<13>two\n" * 100_000)
        intake.full = False
        assert len(intake.wait(100_001)) == 100_001
