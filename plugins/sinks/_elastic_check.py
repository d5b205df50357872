"""What `doctor` asks a cluster and advises. Writes nothing unless a test record is given."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from datto_siem.plugins.secret import SecretMissing
from datto_siem.plugins.sink import Finding, Level
from datto_siem.plugins.sinks import _elastic_reply
from datto_siem.plugins.transport import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datto_siem.plugins.record import Record
    from datto_siem.plugins.sink import Item, Reply
    from datto_siem.plugins.sinks._elastic_nodes import Nodes
    from datto_siem.plugins.sinks.elasticsearch import Config
    from datto_siem.plugins.transport import Answer

_REACH = "check urls, http.proxy, tls.ca_file and the way to the cluster"
_CREDENTIAL = "check api_key, or username and password"
_PRIVILEGES = ("auto_configure", "create_doc")
_TEMPLATE = (
    "set install_template = true (needs manage_index_templates for one start), or install an"
    " index template with a data_stream for this name"
)


class Asked(Protocol):
    """The part of the sink that is asked."""

    config: Config
    nodes: Nodes

    def item(self, record: Record) -> Item | None:
        """A document."""

    def send(self, items: Sequence[Item]) -> Reply:
        """Post documents."""


def findings(sink: Asked, test: Record | None) -> Iterator[Finding]:
    """Reach, encryption, credential, streams, privileges, pipeline; ends where going on is idle."""
    yield from _encryption(sink.config)
    try:
        reached = []
        for url in sink.nodes.urls:
            finding = _reach(sink.nodes, url)
            yield finding
            reached.append(finding.level is not Level.FAULT)
        if not any(reached):
            return
        credential = _credential(sink)
        yield credential
        if credential.level is Level.FAULT:
            return
        for stream in sink.config.streams:
            yield _stream(sink, stream)
        yield from _privileges(sink)
        if sink.config.pipeline is not None:
            yield _pipeline(sink.nodes, sink.config.pipeline)
        if test is not None:
            yield _delivery(sink, test)
    except SecretMissing as error:
        yield Finding(Level.FAULT, "credential", str(error), "set it, then ask again")
    except Unreachable as error:
        yield Finding(Level.FAULT, "reach the cluster", str(error), _REACH)


def _encryption(config: Config) -> Iterator[Finding]:
    plain = [url for url in config.urls if url.startswith("http://")]
    if plain:
        said = f"credential and events go unencrypted to {', '.join(plain)}"
        yield Finding(Level.WARNING, "encryption", said, "use https:// in urls")
    if config.tls.insecure_skip_verify:
        said = "insecure_skip_verify is set: anybody can read and answer"
        remedy = "name the cluster's authority in tls.ca_file and take the setting out"
        yield Finding(Level.WARNING, "encryption", said, remedy)


def _reach(nodes: Nodes, url: str) -> Finding:
    what = f"reach {url}"
    try:
        answer = nodes.ask("GET", "/", node=url)
    except Unreachable as error:
        return Finding(Level.FAULT, what, str(error), _REACH)
    version = _elastic_reply.parsed(answer.body).get("version")
    if answer.status == 200 and isinstance(version, dict):
        product = "OpenSearch" if version.get("distribution") == "opensearch" else "Elasticsearch"
        return Finding(Level.GOOD, what, f"{product} {version.get('number', '?')}")
    if answer.status in (401, 403):
        return Finding(Level.GOOD, what, f"answers; {answer.status} hides its version")
    said = f"{answer.status} {_elastic_reply.said(answer.body)}".rstrip()
    return Finding(Level.FAULT, what, f"{said}: this is no cluster", "check urls")


def _credential(sink: Asked) -> Finding:
    given = sink.config.api_key is not None or sink.config.username is not None
    for path in ("/_security/_authenticate", "/_plugins/_security/authinfo"):
        answer = sink.nodes.ask("GET", path)
        content = _elastic_reply.parsed(answer.body)
        if answer.status == 200:
            name = content.get("username") or content.get("user_name") or "?"
            return Finding(Level.GOOD, "credential", f"accepted, as {name}")
        if answer.status in (401, 403):
            said = f"{answer.status} {_elastic_reply.said(answer.body)}".rstrip()
            return Finding(Level.FAULT, "credential", said, _CREDENTIAL)
    if given:
        said = "the cluster has no security and does not look at the credential"
    else:
        said = "the cluster has no security: anybody who reaches it may read and write"
    return Finding(Level.WARNING, "credential", said, "switch its security on")


def _stream(sink: Asked, stream: str) -> Finding:
    what = f"data stream {stream}"
    answer = sink.nodes.ask("GET", f"/_data_stream/{quote(stream, safe='')}")
    if answer.status == 200:
        found: list[Any] = _elastic_reply.parsed(answer.body).get("data_streams") or [{}]
        return Finding(Level.GOOD, what, f"is there, by template {found[0].get('template', '?')}")
    if answer.status != 404:
        return _hidden(what, answer, "view_index_metadata on it")
    if sink.nodes.ask("HEAD", f"/{quote(stream, safe='')}").status == 200:
        remedy = f"delete or reindex that index. {_TEMPLATE}"
        return Finding(Level.FAULT, what, "an index of that name is there instead", remedy)
    answer = sink.nodes.ask("GET", "/_index_template")
    if answer.status != 200:
        return _hidden(what, answer, "the cluster privilege monitor")
    name, streaming = _best(_elastic_reply.parsed(answer.body), stream)
    if streaming:
        return Finding(Level.GOOD, what, f"not there yet; template {name} will make it")
    if sink.config.install_template and name is None:
        return Finding(Level.GOOD, what, "not there yet; the first delivery installs its template")
    said = f"template {name} makes no data stream" if name else "no index template is for it"
    return Finding(Level.FAULT, what, said, _TEMPLATE)


def _best(content: dict[str, Any], stream: str) -> tuple[str | None, bool]:
    """The template that counts for a name, and whether it makes data streams."""
    best: tuple[int, str | None, bool] = (-1, None, False)
    for entry in content.get("index_templates", ()):
        template = entry["index_template"]
        patterns = template.get("index_patterns", ())
        priority = template.get("priority") or 0
        if priority > best[0] and any(fnmatchcase(stream, pattern) for pattern in patterns):
            best = (priority, entry["name"], "data_stream" in template)
    return best[1:]


def _privileges(sink: Asked) -> Iterator[Finding]:
    asked = {"index": [{"names": list(sink.config.streams), "privileges": list(_PRIVILEGES)}]}
    answer = sink.nodes.ask("POST", "/_security/user/_has_privileges", asked)
    if answer.status != 200:  # OpenSearch, or no security: only a delivery shows it
        return
    content = _elastic_reply.parsed(answer.body).get("index")
    for stream, has in sorted((content if isinstance(content, dict) else {}).items()):
        absent = sorted(name for name, granted in has.items() if not granted)
        what = f"privileges on {stream}"
        if absent:
            remedy = "grant them to the API key or to the user's role, on logs-datto.*-*"
            yield Finding(Level.FAULT, what, f"{' and '.join(absent)} missing", remedy)
        else:
            yield Finding(Level.GOOD, what, " and ".join(_PRIVILEGES))


def _pipeline(nodes: Nodes, name: str) -> Finding:
    what = f"pipeline {name}"
    answer = nodes.ask("GET", f"/_ingest/pipeline/{quote(name, safe='')}")
    if answer.status == 200:
        return Finding(Level.GOOD, what, "is there")
    if answer.status == 404:
        return Finding(Level.FAULT, what, "is not there", "install it, or take pipeline out")
    return _hidden(what, answer, "the cluster privilege read_pipeline")


def _hidden(what: str, answer: Answer, privilege: str) -> Finding:
    said = f"cannot be seen: {answer.status} {_elastic_reply.said(answer.body)}".rstrip()
    return Finding(Level.WARNING, what, said, f"grant {privilege} to let doctor look")


def _delivery(sink: Asked, test: Record) -> Finding:
    what = "test record"
    item = sink.item(test)
    if item is None:
        return Finding(Level.WARNING, what, "has no place here", "")
    reply = sink.send([item])
    if reply.left or reply.rejected:
        return Finding(Level.FAULT, what, reply.reason, "mend what it says, then ask again")
    if reply.diverted:
        remedy = "look at the stream's failure store for the reason"
        return Finding(Level.WARNING, what, f"put into the failure store of {item.key}", remedy)
    return Finding(Level.GOOD, what, f"taken by {item.key}")
