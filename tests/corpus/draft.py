"""A log line while it is being made: header, pairs and what surrounds them.

Owns the rendering and the reader's side of it (`unescape`), written apart from the product, so
that a test compares two independent readings of one line.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

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
        raw = f"{self.prefix}{header}|{''.join(parts)}{self.suffix}".encode()
        return raw if self.cut is None else raw[: self.cut]

    def expected(self) -> dict[str, str]:
        """Wire key -> text, for the keys a careful reader must agree on.

        Left out: values nobody can be sure of, keys that occur twice with two texts unless one of
        them is forged, and the pair a cut went through.
        """
        texts: dict[str, set[str]] = {}
        unsure = {pair.key for pair in self.pairs if not pair.sure}
        swallowing: str | None = None  # the free text that may go on: `Guest x=1 y=2`
        for pair in self.pairs:
            if swallowing is not None and pair.misfit:
                unsure |= {swallowing, pair.key}
            else:
                swallowing = pair.key if self.free(pair) else None
        for pair in self._whole():
            if not pair.forged:
                texts.setdefault(pair.key, set()).add(unescape(self.written(pair)).rstrip(" "))
        return {
            key: next(iter(found))
            for key, found in texts.items()
            if len(found) == 1 and key not in unsure
        }

    def _whole(self) -> list[Pair]:
        """The pairs a cut leaves untouched."""
        if self.cut is None:
            return self.pairs
        kept: list[Pair] = []
        for count in range(1, len(self.pairs)):
            head = replace(self, pairs=self.pairs[:count], suffix="", cut=None)
            following = self.pairs[count]
            if following.glued:
                continue  # one value with the pair before it until the next key shows its end
            # A value is known to be whole when the next key follows it before the cut; after a
            # stranger's text, or with a colon, only a whole value makes a key.
            strict = following.sep == ":" or self.free(self.pairs[count - 1])
            more = len(following.key) + 2
            more += len(self.written(following).encode()) if strict else 0
            if len(head.render()) + more > self.cut:
                break
            kept = self.pairs[:count]
        return kept


def escape(text: str) -> str:
    """CEF extension escapes."""
    return text.replace("\\", "\\\\").replace("=", "\\=").replace("\n", "\\n").replace("\r", "\\r")


def escape_header(text: str) -> str:
    """CEF header escapes."""
    return text.replace("\\", "\\\\").replace("|", "\\|")


def unescape(text: str) -> str:
    """Undo CEF escapes in one pass; a backslash before anything else is itself."""
    meaning = {"\\": "\\", "=": "=", "|": "|", "n": "\n", "r": "\r"}
    out: list[str] = []
    index = 0
    while index < len(text):
        char = text[index]
        if char == "\\" and text[index + 1 : index + 2] in meaning and index + 1 < len(text):
            out.append(meaning[text[index + 1]])
            index += 2
        else:
            out.append(char)
            index += 1
    return "".join(out)
