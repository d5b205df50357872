"""A sink that gets pseudonyms instead of people's addresses and names.

The log keeps what was received, so that a key can be changed and records sent again; so do dead
letters, which are sent again through the same pseudonyms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.converters.privacy import SHORTEST_KEY, Pseudonymizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from datto_siem.converters.tables.model import Tables
    from datto_siem.plugins.record import Record
    from datto_siem.plugins.secret import Secret
    from datto_siem.plugins.sink import Finding, Item, Reply, Sink


class Pseudonymous:
    """A sink whose records pass a `Pseudonymizer` first.

    Args:
        sink: The destination.
        key: The key of pseudonyms.
        tables: Which values are personal.

    Raises:
        ValueError: The key is too short.
        SecretMissing: There is none.
    """

    def __init__(self, sink: Sink, key: Secret, tables: Tables) -> None:
        """Read the key."""
        content = key.value().encode()
        if len(content) < SHORTEST_KEY:
            raise ValueError(
                f"privacy.pseudonyms: the key is shorter than {SHORTEST_KEY} bytes: make one with"
                " `openssl rand -hex 32`"
            )
        self._sink = sink
        self._line = Pseudonymizer(content, tables).line
        self.batching = sink.batching

    def item(self, record: Record) -> Item | None:
        """See `Sink.item`."""
        return self._sink.item(record._replace(raw=self._line(record.raw)))

    def send(self, items: Sequence[Item]) -> Reply:
        """See `Sink.send`."""
        return self._sink.send(items)

    def check(self, test: Record | None) -> Iterable[Finding]:
        """See `Sink.check`."""
        return self._sink.check(test)

    def close(self) -> None:
        """See `Sink.close`."""
        self._sink.close()
