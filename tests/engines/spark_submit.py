"""The package's own Spark script, run by `spark-submit` as users do: the package as a zip."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from engine import ENGINES, ROOT

if TYPE_CHECKING:
    from pathlib import Path

SPARK = ENGINES / "spark"
SCRIPT = ROOT / "plugins" / "spark" / "submit.py"
CLUSTER = "local-cluster[2,1,1024]"
"""Two executors in processes of their own, with a core each."""


def packed(folder: Path) -> Path:
    """This package as executors get it: the archive that the script's own words make."""
    install = ["-m", "pip", "install", "-q", "--no-deps", "--target", "lib", ROOT]
    for args in (install, ["-m", "zipfile", "-c", "datto_siem.zip", "lib/datto_siem"]):
        subprocess.run([sys.executable, *args], cwd=folder, check=True)  # noqa: S603
    return folder / "datto_siem.zip"


def submit(
    package: Path, folder: Path, *args: str, master: str = CLUSTER, conf: tuple[str, ...] = ()
) -> None:
    """Run the script to its end.

    Args:
        package: What `packed` made.
        folder: Where Spark keeps its own files.
        args: The script's.
        master: What runs the job.
        conf: Settings of Spark, `name=value`.
    """
    python = str(SPARK / "bin" / "python")
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "PYSPARK_PYTHON": python,
        "PYSPARK_DRIVER_PYTHON": python,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(folder / "spark"),
        "SPARK_WORKER_DIR": str(folder / "work"),
    }
    settings = ("spark.ui.enabled=false", "spark.log.level=ERROR", *conf)
    done = subprocess.run(  # noqa: S603
        [
            *(SPARK / "bin" / "spark-submit", "--master", master, "--driver-memory", "1g"),
            *(word for each in settings for word in ("--conf", each)),
            *("--py-files", package, SCRIPT, *args),
        ],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
