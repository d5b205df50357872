"""What a benchmark takes apart is still there: figures that cannot be made again are no figures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from benchmarks.conversion_stages import ordinary_way, short_way
from ordinary_lines import ordinary

if TYPE_CHECKING:
    from pathlib import Path

RECEIVED = 1_795_514_400_000


@pytest.mark.parametrize("target", ["ecs", "ocsf"])
def test_the_stages_of_a_record_can_be_told_apart(tmp_path: Path, target: str) -> None:
    paths = [tmp_path / "1.log", tmp_path / "2.log"]
    for seed, path in enumerate(paths, 1):
        path.write_bytes(b"\n".join(ordinary(600, seed)) + b"\n")
    for stages in (short_way(target, paths, RECEIVED), ordinary_way(target, paths[0], RECEIVED)):
        assert len(stages) > 3
        assert all(map(math.isfinite, stages.values()))
