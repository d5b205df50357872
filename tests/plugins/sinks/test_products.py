"""The products that sinks tell apart are those of the tables."""

from __future__ import annotations

from datto_siem.converters.tables.load import load
from datto_siem.plugins.sinks import elasticsearch
from datto_siem.plugins.splunk_sourcetypes import PRODUCTS, SOURCETYPES


def test_every_product_of_the_tables_is_told_apart() -> None:
    products = {name for name, source in load().sources.items() if not source.any}
    assert set(PRODUCTS) == products
    assert set(elasticsearch._SPLIT) == products
    assert set(SOURCETYPES["raw"]) == {*products, ""}
