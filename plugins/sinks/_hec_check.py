"""What `doctor` asks a HEC and what it advises. Indexes nothing unless a test record is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from datto_siem.plugins.secret import SecretMissing
from datto_siem.plugins.sink import Finding, Level
from datto_siem.plugins.sinks import _hec_reply
from datto_siem.plugins.sinks._hec_reply import Do
from datto_siem.plugins.transport import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datto_siem.plugins.record import Record
    from datto_siem.plugins.sink import Item, Reply
    from datto_siem.plugins.sinks._hec_envelope import Envelopes
    from datto_siem.plugins.sinks.splunk_hec import Config

_REMEDIES = {
    "NameResolutionError": "check the host name in url, and the resolver of this machine",
    "gaierror": "check the host name in url, and the resolver of this machine",
    "refused": "check the port, that HEC is enabled and that no firewall rejects it",
    "no answer in time": "check routes and firewalls between here and the server",
    "self-signed certificate": "name its certificate or authority in tls.ca_file",
    "self signed": "name its certificate or authority in tls.ca_file",
    "issuer certificate": "name its authority in tls.ca_file",
    "mismatch": "use the name in its certificate in url",
    "expired": "renew the server's certificate",
    "CERTIFICATE_REQUIRED": "set tls.client_cert and tls.client_key",
    "WRONG_VERSION_NUMBER": "the server does not speak TLS there: use http:// or another port",
    "proxy": "check http.proxy, or HTTPS_PROXY and NO_PROXY in the environment",
}
_OTHERWISE = "check url, http.proxy and the way to the server"


class Asked(Protocol):
    """The part of the sink that is asked."""

    config: Config
    envelopes: Envelopes

    def send(self, items: Sequence[Item]) -> Reply:
        """Post items."""

    def health(self) -> _hec_reply.Said:
        """Ask for health, without the token."""

    def ask(self, path: str, body: bytes) -> _hec_reply.Said:
        """Post to an endpoint."""


def findings(sink: Asked, test: Record | None) -> Iterator[Finding]:
    """Reach, encryption, health, token, acknowledgement, indexes; ends where going on is idle."""
    yield from _encryption(sink.config)
    reach = f"reach {sink.config.base}"
    try:
        said = sink.health()
    except Unreachable as error:
        yield Finding(Level.FAULT, reach, str(error), _remedy(str(error)))
        return
    yield _health(reach, said)
    try:
        token = _token(sink)
        yield token
        if token.level is Level.FAULT:
            return
        yield from _acknowledgement(sink)
    except Unreachable as error:
        yield Finding(Level.FAULT, reach, str(error), _remedy(str(error)))
        return
    if test is not None:
        yield from _indexes(sink, test)


def _encryption(config: Config) -> Iterator[Finding]:
    if config.url.startswith("http://"):
        said = "token and events go unencrypted"
        yield Finding(Level.WARNING, "encryption", said, "use https:// in url")
    elif config.tls.insecure_skip_verify:
        said = "insecure_skip_verify is set: anybody can read and answer"
        remedy = "name the server's authority in tls.ca_file and take the setting out"
        yield Finding(Level.WARNING, "encryption", said, remedy)


def _health(what: str, said: _hec_reply.Said) -> Finding:
    if said.code is not None and said.meaning.do in (Do.TAKEN, Do.SLOW):
        return Finding(Level.GOOD, what, said.text)
    if said.meaning.do is Do.RETRY:
        return Finding(Level.WARNING, what, said.text, "look at the indexers' queues; it is busy")
    # Gateways before Splunk may not offer it, so only the token's answer below decides.
    return Finding(Level.WARNING, what, said.text, said.meaning.advice or _OTHERWISE)


def _token(sink: Asked) -> Finding:
    """An empty request is refused for being empty, once the token has been found good."""
    try:
        said = sink.ask("/event", b"")
    except SecretMissing as error:
        return Finding(Level.FAULT, "token", str(error), "set it, then run doctor again")
    if said.code == _hec_reply.NO_DATA:
        return Finding(Level.GOOD, "token", "the token is accepted")
    remedy = said.meaning.advice or "look at the server's answer; run doctor again later"
    return Finding(Level.FAULT, "token", said.text, remedy)


def _acknowledgement(sink: Asked) -> Iterator[Finding]:
    wanted = sink.config.ack
    said = sink.ask("/ack", b'{"acks":[0]}')
    offered = said.status == 200
    if wanted == "off":
        if offered:
            remedy = 'set ack = "auto", or use a token without useACK'
            yield Finding(Level.WARNING, "ack", "the token has useACK, ack is off", remedy)
        return
    if offered:
        yield Finding(Level.GOOD, "ack", "the token has useACK")
        return
    level = Level.FAULT if wanted == "required" else Level.WARNING
    yield Finding(level, "ack", said.text, "enable indexer acknowledgement for the token")


def _indexes(sink: Asked, test: Record) -> Iterator[Finding]:
    config = sink.config
    for index in dict.fromkeys([config.index or "", *config.indexes.values()]):
        what = f"index {index}" if index else "the token's default index"
        reply = sink.send([sink.envelopes.test(test, index)])
        if reply.left or reply.rejected:
            advice = "look at the answer, mend it and run doctor again"
            yield Finding(Level.FAULT, what, reply.reason, advice)
        else:
            yield Finding(Level.GOOD, what, "took the test record")


def _remedy(cause: str) -> str:
    for sign, remedy in _REMEDIES.items():
        if sign.lower() in cause.lower():
            return remedy
    return _OTHERWISE
