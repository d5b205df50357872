"""Azure resources of the solution: table, data collection rule, functions, all in one template.

The template links to nothing; the connector's page in it is `_sentinel_connector`'s. A text that
Azure Resource Manager would take for an expression (it begins with `[`) is escaped.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from datto_siem.converters.schemas.sentinel_columns import columns
from datto_siem.plugins.generators import _kql as kql
from datto_siem.plugins.generators._sentinel_legs import CSL, UNKNOWN, WORKSPACE
from datto_siem.plugins.generators._sentinel_read import OURS
from datto_siem.plugins.sentinel_streams import STREAMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from datto_siem.plugins.generators._sentinel_functions import Function
    from datto_siem.plugins.generators._sentinel_legs import Leg

PUBLISHER = "3913510d-42f4-4e42-8a64-420c390055eb"
"""Role Monitoring Metrics Publisher."""
_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
_RULE = "resourceId('Microsoft.Insights/dataCollectionRules', parameters('rule'))"
_TABLE_TYPES = {"datetime": "dateTime"}
_CUSTOM = "Custom-"
_WORKSPACES = "Microsoft.OperationalInsights/workspaces"


def dump(value: Any) -> bytes:
    """JSON, two blanks a level."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def literal(text: str) -> str:
    """A text of a template that is no expression."""
    return f"[{text}" if text.startswith("[") else text


def carried(asim: Mapping[str, Any], csl: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Table -> the columns that rows of ours may have, and their types."""
    found: dict[str, set[str]] = {table: set() for table in STREAMS}
    for plan in asim["plans"]:
        table = plan["facts"]["Type"]
        found.setdefault(table, set()).update(_roots(asim, plan))
    for plan in csl["plans"]:
        found[CSL].update(_roots(csl, plan), (column for column, _ in plan["columns"].values()))
    pinned = columns()
    return {
        table: {
            name: column.type
            for name, column in sorted(pinned.table(table).items())
            if name in names and column.physical and name != "Type"
        }
        for table, names in found.items()
    }


def _roots(portable: Mapping[str, Any], plan: Mapping[str, Any]) -> Iterable[str]:
    for step in plan["emit"]:
        yield portable["steps"][step][0].partition(".")[0]
    if plan["leftovers"] is not None:
        yield plan["leftovers"][0]


def table() -> dict[str, Any]:
    """Datto_CL."""
    return {
        "type": "Microsoft.OperationalInsights/workspaces/tables",
        "apiVersion": "2022-10-01",
        "name": f"[concat({WORKSPACE}, '/{UNKNOWN}')]",
        "properties": {
            "plan": "Analytics",
            "schema": {
                "name": UNKNOWN,
                "columns": [
                    {"name": name, "type": _TABLE_TYPES.get(column.type, column.type)}
                    for name, column in columns().table(UNKNOWN).items()
                    if column.physical and name != "Type"
                ],
            },
        },
    }


def rule(tables: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The data collection rule: one stream and one flow for each table."""
    return {
        "type": "Microsoft.Insights/dataCollectionRules",
        "apiVersion": "2023-03-11",
        "kind": "Direct",
        "name": "[parameters('rule')]",
        "location": "[parameters('location')]",
        "dependsOn": [_reference("tables", UNKNOWN)],
        "properties": {
            "streamDeclarations": {
                STREAMS[name]: {"columns": [{"name": at, "type": kind} for at, kind in row.items()]}
                for name, row in tables.items()
            },
            "destinations": {
                "logAnalytics": [
                    {
                        "name": "workspace",
                        "workspaceResourceId": f"[resourceId('{_WORKSPACES}', {WORKSPACE})]",
                    }
                ]
            },
            "dataFlows": [_flow(name) for name in tables],
        },
    }


def _flow(name: str) -> dict[str, Any]:
    mark = f"source | extend CollectorHostName = {kql.text(OURS)}"
    return {
        "streams": [STREAMS[name]],
        "destinations": ["workspace"],
        "transformKql": mark if name == CSL else "source",
        "outputStream": f"{_CUSTOM if name.endswith('_CL') else 'Microsoft-'}{name}",
    }


def role() -> dict[str, Any]:
    """May the sender post? Only when the template is told who it is."""
    return {
        "type": "Microsoft.Authorization/roleAssignments",
        "apiVersion": "2022-04-01",
        "condition": "[not(empty(parameters('principal')))]",
        "name": f"[guid({_RULE}, parameters('principal'), '{PUBLISHER}')]",
        "scope": "[concat('Microsoft.Insights/dataCollectionRules/', parameters('rule'))]",
        "dependsOn": [f"[{_RULE}]"],
        "properties": {
            "principalId": "[parameters('principal')]",
            "principalType": "ServicePrincipal",
            "roleDefinitionId": (
                "[subscriptionResourceId('Microsoft.Authorization/roleDefinitions',"
                f" '{PUBLISHER}')]"
            ),
        },
    }


def function(each: Function) -> dict[str, Any]:
    """A stored function."""
    return {
        "type": "Microsoft.OperationalInsights/workspaces/savedSearches",
        "apiVersion": "2020-08-01",
        "name": f"[concat({WORKSPACE}, '/{each.name}')]",
        "properties": {
            "etag": "*",
            "displayName": each.name,
            "category": "ASIM",
            "functionAlias": each.name,
            "functionParameters": each.parameters,
            "query": literal(each.body),
            "version": 1,
        },
    }


def _reference(kind: str, name: str) -> str:
    whole = f"Microsoft.OperationalInsights/workspaces/{kind}"
    return f"[resourceId('{whole}', {WORKSPACE}, '{name}')]"


def template(
    functions: Sequence[Function],
    tables: Mapping[str, Mapping[str, str]],
    page: Mapping[str, Any],
    stamp: str,
) -> dict[str, Any]:
    """Everything in one; `page` is the connector's."""
    return {
        "$schema": _SCHEMA,
        "contentVersion": "1.0.0.0",
        "metadata": {"description": literal(f"Datto networking for Microsoft Sentinel; {stamp}")},
        "parameters": {
            "workspace": _parameter("Log Analytics workspace that Microsoft Sentinel runs on"),
            "location": _parameter("Region of the workspace", "[resourceGroup().location]"),
            "rule": _parameter("Name of the data collection rule", "dcr-datto"),
            "principal": _parameter(
                "Object id of the sender's service principal, to let it post; empty: later", ""
            ),
        },
        "resources": [
            table(),
            rule(tables),
            role(),
            *(function(each) for each in functions),
            page,
        ],
        "outputs": {
            "endpoint": {
                "type": "string",
                "value": f"[reference({_RULE}, '2023-03-11').endpoints.logsIngestion]",
            },
            "dcr": {
                "type": "string",
                "value": f"[reference({_RULE}, '2023-03-11').immutableId]",
            },
        },
    }


def _parameter(description: str, default: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "string", "metadata": {"description": description}}
    return found if default is None else {**found, "defaultValue": default}


def quiet(legs: Sequence[Leg]) -> str:
    """The transform of an agent's rule that drops probes, the bulk of an access point's events.

    The dialect of transforms knows no `not()`, so a row is kept when one of the conditions fails.
    """
    names = sorted({(name, leg.source["vendor"]) for leg in legs for name in leg.names})
    tests = []
    for name, vendor in names:
        class_id, _, event = name.rpartition("/")
        tests.append(
            f"(tolower(DeviceVendor) != {kql.text(vendor)}"
            f" or DeviceEventClassID != {kql.text(class_id)}"
            f" or Activity != {kql.text(event)})"
        )
    return f"source\n| where {' and '.join(tests)}\n"
