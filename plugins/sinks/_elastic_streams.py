"""Sees to it that what we write to is a data stream, not an index made up by the server.

Newer Elasticsearch refuses by itself (`require_data_stream`). On others the stream is looked for
and made once before the first document, and on request its template before that.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from datto_siem.plugins.elastic_template import NAME, OWNER, templates
from datto_siem.plugins.sinks import _elastic_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datto_siem.converters import Converter
    from datto_siem.plugins.sinks._elastic_nodes import Nodes
    from datto_siem.plugins.transport import Answer

_LOG = logging.getLogger(__name__)
_PARAMETER = "require_data_stream"
_REFUSED = (401, 403)


class NotReady(Exception):
    """The stream cannot be written to; says what to do.

    Attributes:
        lasting: Whether somebody has to mend something.
    """

    def __init__(self, message: str, lasting: bool) -> None:
        """Say why."""
        super().__init__(message)
        self.lasting = lasting


class Streams:
    """What is known of the streams; safe to share between threads."""

    def __init__(
        self, nodes: Nodes, converter: Converter, datasets: Sequence[str], install: bool
    ) -> None:
        """Take what to ask and whether templates are installed."""
        self._nodes, self._converter, self._datasets = nodes, converter, datasets
        self._install = install
        self._installed = False
        self._ready: set[str] = set()
        self._lock = threading.Lock()
        self.required = True
        """Whether the server is asked to refuse what is no data stream."""

    def prepare(self, stream: str) -> None:
        """Make ready what the server does not see to itself.

        Raises:
            NotReady: It is not ready.
            Unreachable: No node answered.
        """
        with self._lock:
            if self._install and not self._installed:
                self.install()
                self._installed = True
            if not self.required and stream not in self._ready:
                self._exists(stream)
                self._ready.add(stream)

    def doubt(self) -> None:
        """Look again before the next request."""
        with self._lock:
            self._ready.clear()
            self._installed = False

    def unsupported(self, answer: Answer) -> bool:
        """Whether the server refused to be asked for a data stream; it is not asked again."""
        if not _elastic_reply.unknown_parameter(answer, _PARAMETER):
            return False
        self.required = False
        return True

    def install(self) -> bool:
        """Put templates unless those of these tables, or somebody else's of that name, are there.

        Returns:
            Whether they were put.

        Raises:
            NotReady: The server refuses.
            Unreachable: No node answered.
        """
        wanted = templates(self._converter, self._datasets, is_opensearch(self._nodes))
        path = f"/_index_template/{NAME}"
        found = self._nodes.ask("GET", path)
        if found.status == 200 and not _outdated(found, wanted[path]):
            return False
        for place, body in wanted.items():
            answer = self._nodes.ask("PUT", place, body)
            if answer.status not in (200, 201):
                said = f"PUT {place}: {answer.status} {_elastic_reply.said(answer.body)}"
                remedy = (
                    "install_template needs the cluster privilege manage_index_templates:"
                    " grant it for one start, or install the template with another credential"
                )
                raise NotReady(f"{said}: {remedy}", lasting=400 <= answer.status < 429)
        _LOG.info("installed index template %s", NAME)
        return True

    def _exists(self, stream: str) -> None:
        path = f"/_data_stream/{stream}"
        answer = self._nodes.ask("GET", path)
        if answer.status == 404:
            answer = self._nodes.ask("PUT", path)
            if "already_exists" in _elastic_reply.said(answer.body):
                answer = self._nodes.ask("GET", path)  # made by another meanwhile, or an index
        if answer.status in (200, 201):
            return
        said = f"{answer.status} {_elastic_reply.said(answer.body)}"
        if answer.status in _REFUSED:
            _LOG.warning("cannot see whether %s is a data stream: %s", stream, said)
            return
        raise NotReady(
            f"no data stream {stream}: {said}: {_elastic_reply.REMEDIES[404]}",
            lasting=400 <= answer.status < 429,
        )


def is_opensearch(nodes: Nodes) -> bool:
    """Whether the cluster is OpenSearch rather than Elasticsearch."""
    version = _elastic_reply.parsed(nodes.ask("GET", "/").body).get("version")
    return isinstance(version, dict) and version.get("distribution") == "opensearch"


def _outdated(found: Answer, wanted: dict[str, object]) -> bool:
    """Whether a template is ours and not the one wanted."""
    for entry in _elastic_reply.parsed(found.body).get("index_templates", ()):
        template = entry.get("index_template", {})
        if template.get("_meta", {}).get("managed_by") != OWNER:
            return False
        keys = ("_meta", "index_patterns", "composed_of")
        return any(template.get(key) != wanted[key] for key in keys)
    return True
