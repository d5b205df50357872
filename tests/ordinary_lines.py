"""Lines as nearly all are, and that speed is measured on: documented events, just as documented.

Half are from access points, in the colon form, half from Secure Edge; every second line has a
syslog header. Values are drawn anew for each line, so no memory of whole values helps.
"""

from __future__ import annotations

from datetime import datetime, timezone
from random import Random

from corpus.catalogue import documented, events

from datto_siem.plugins.simulator.values import MONTH, NOW


def ordinary(
    count: int, seed: int = 1, shuffled: bool = False, only: str | None = None
) -> list[bytes]:
    """Draw lines.

    Args:
        count: How many.
        seed: The same seed gives the same lines.
        shuffled: Secure Edge keys in random order.
        only: One product instead of both.
    """
    rng = Random(seed)  # noqa: S311 - a reproducible corpus, no secret
    rows = [each for each in events() if each.event == each.spelling]
    by_product = {
        name: [each for each in rows if each.product == name]
        for name in ("access_point", "secure_edge")
    }
    products = [only] if only else ["access_point", "secure_edge"]
    lines = []
    for number in range(count):
        product = products[number % len(products)]
        draft = documented(rng.choice(by_product[product]), rng)
        if shuffled and product == "secure_edge":
            rng.shuffle(draft.pairs)
        if number // 2 % 2:
            draft.prefix = _prefix(product, rng)
        lines.append(draft.render())
    return lines


def _prefix(product: str, rng: Random) -> str:
    when = datetime.fromtimestamp(NOW - rng.randrange(MONTH), timezone.utc)
    if product == "access_point":
        return f"<134>{when:%b} {when.day:2d} {when:%H:%M:%S} ap-{rng.randrange(40)} "
    stamp = f"{when:%Y-%m-%dT%H:%M:%S}.{rng.randrange(1000):03d}Z"
    return f"<134>1 {stamp} se-gw-{rng.randrange(4)} secure-edge - - - "
