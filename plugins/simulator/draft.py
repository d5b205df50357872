"""A log line while it is being made: header, pairs, what surrounds them, and its rendering.

Owns the writer's side only. Pairs carry what is true of them (forged, doubtful, unfit), so that
tests can tell what a reader must make of the line; nothing here reads one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# Keys whose text a stranger chooses: what follows them may be forged.
FREE_TEXT = ("cs2", "dvchost", "domain")
# Lengths at which relays are known to cut; a line of just this length may be a cut one.
LIMITS = (480, 1024, 2048, 8192)


@dataclass
class Pair:
    """One extension pair: `sep` is `=` or `:`, `text` the value before any escaping."""

    key: str
    text: str
    sep: str = "="
    glued: bool = False  # no blank before it
    sure: bool = True  # False: no reader can be sure of this value
    forged: bool = False  # came in through another value; a reader must not prefer it
    misfit: bool = False  # does not fit the key's type, or no table knows the key


@dataclass
class Draft:
    """The parts of one line; quirks change them, `render` joins them."""

    product: str
    event: str
    header: list[str]  # vendor, product, device version, class id, name, severity
    pairs: list[Pair] = field(default_factory=list)
    times: tuple[str, ...] = ()  # keys that hold a time
    version: str = "1"
    tag: str = "CEF:"
    prefix: str = ""
    suffix: str = ""
    escape: bool = False
    injected: bool = False
    cut: int | None = None
    sent: int | None = None  # epoch seconds; None: some time before `values.NOW`
    quirks: list[str] = field(default_factory=list)

    def free(self, pair: Pair) -> bool:
        """Whether the pair's text is a stranger's, or free words as a reboot's reason is."""
        return pair.key in FREE_TEXT or (pair.key == "reason" and self.event == "system/reboot")

    def pair(self, key: str) -> Pair | None:
        """The first pair of that key."""
        return next((pair for pair in self.pairs if pair.key == key), None)

    def index(self, key: str) -> int:
        """Where the first pair of that key stands; -1 when there is none."""
        return next((i for i, pair in enumerate(self.pairs) if pair.key == key), -1)

    def drop(self, key: str) -> None:
        """Take every pair of that key away."""
        self.pairs = [pair for pair in self.pairs if pair.key != key]

    def written(self, pair: Pair) -> str:
        """The value as it stands on the line."""
        return escape(pair.text) if self.escape else pair.text

    def render(self) -> bytes:
        """The whole line, cut if it is to be cut."""
        header = "|".join([f"{self.tag}{self.version}", *(escape_header(t) for t in self.header)])
        parts: list[str] = []
        for pair in self.pairs:
            blank = "" if pair.glued or not parts else " "
            parts.append(f"{blank}{pair.key}{pair.sep}{self.written(pair)}")
        line = f"{self.prefix}{header}|{''.join(parts)}{self.suffix}"
        raw = line.encode("utf-8", "surrogateescape")  # a stranger's text need not be UTF-8
        return raw if self.cut is None else raw[: self.cut]


def escape(text: str) -> str:
    """CEF extension escapes."""
    return text.replace("\\", "\\\\").replace("=", "\\=").replace("\n", "\\n").replace("\r", "\\r")


def escape_header(text: str) -> str:
    """CEF header escapes."""
    return text.replace("\\", "\\\\").replace("|", "\\|")
