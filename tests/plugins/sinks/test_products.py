"""The products that destinations keep apart, and names they share with the tables."""

from __future__ import annotations

from datto_siem.converters.tables.load import load
from datto_siem.plugins.elastic_template import DATASET
from datto_siem.plugins.generator import Context
from datto_siem.plugins.products import PRODUCTS
from datto_siem.plugins.splunk_sourcetypes import EVENT_ID, SOURCETYPES


def test_every_product_of_the_tables_is_told_apart() -> None:
    products = {name for name, source in load().sources.items() if not source.any}
    assert set(PRODUCTS) == products
    assert set(SOURCETYPES["raw"]) == {*products, ""}


def test_the_id_and_the_dataset_are_called_as_the_tables_call_them() -> None:
    for plan in Context("").plans("cim"):
        assert EVENT_ID in [step.into for step in plan.emit if step.expr == ("ref", "uid")]
    for plan in Context("").plans("ecs"):
        written = {step.into: step.expr for step in plan.emit}
        assert written["data_stream.dataset"] == ("const", DATASET)
