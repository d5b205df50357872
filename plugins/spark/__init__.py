"""Datto archives on Spark: records to documents by `mapInArrow`, in batches and in streams.

from datto_siem.plugins import spark

lines = spark.lines(session, "s3://archive/2026/*.gz")
spark.documents(lines, "ecs", received).write.text("s3://lake/ecs")
spark.columns(lines, "ocsf", received).write.parquet("s3://lake/ocsf")
spark.lake(lines, "s3://lake", received, region="eu-west-1", account="123456789012")

Every executor needs this package (installed, or as a zip by `--py-files`), pyarrow and the other
dependencies. `submit` is a ready script for `spark-submit` and says how the zip is made. A job
takes ten seconds to start, so on one machine `datto-siem convert --workers N` is done first up to a
million lines and more: this is for archives that already lie in a lake.
"""

from datto_siem.plugins.spark.frames import columns, documents, lines, numbered
from datto_siem.plugins.spark.lake import lake
from datto_siem.plugins.spark.streams import each_batch

__all__ = ["columns", "documents", "each_batch", "lake", "lines", "numbered"]
