"""The connector's page in Microsoft Sentinel: Codeless Connector Framework, kind Push."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datto_siem.plugins.generators._sentinel_legs import CSL, UNKNOWN, WORKSPACE, from_vendors
from datto_siem.plugins.sentinel_streams import STREAMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONNECTOR = "DattoNetworkingPush"
_LAST = "| summarize Time = max(TimeGenerated)\n| where isnotempty(Time)"


def connector(tables: Iterable[str], asim: Mapping[str, Any]) -> dict[str, Any]:
    """The connector's page of kind Push: its button makes rule, application and secret."""
    return {
        "type": "Microsoft.OperationalInsights/workspaces/providers/dataConnectorDefinitions",
        "apiVersion": "2022-09-01-preview",
        "name": f"[concat({WORKSPACE}, '/Microsoft.SecurityInsights/{CONNECTOR}')]",
        "location": "[parameters('location')]",
        "kind": "Customizable",
        "properties": {"connectorUiConfig": _page(tables, asim)},
    }


def push() -> dict[str, Any]:
    """What the button fills in: the connection of the page with rule and application."""
    return {
        "type": "Microsoft.SecurityInsights/dataConnectors",
        "apiVersion": "2022-12-01-preview",
        "name": CONNECTOR,
        "kind": "Push",
        "properties": {
            "connectorDefinitionName": CONNECTOR,
            "dcrConfig": {
                "streamName": STREAMS[UNKNOWN],
                "dataCollectionEndpoint": "{{dataCollectionEndpoint}}",
                "dataCollectionRuleImmutableId": "{{dataCollectionRuleImmutableId}}",
            },
            "auth": {
                "type": "Push",
                "AppId": "{{auth.appId}}",
                "ServicePrincipalId": "{{auth.servicePrincipalId}}",
            },
        },
    }


def _page(tables: Iterable[str], asim: Mapping[str, Any]) -> dict[str, Any]:
    queries = {name: _ours(name, asim) for name in tables}
    every = f"union isfuzzy=true {', '.join(f'({query})' for query in queries.values())}"
    return {
        "id": CONNECTOR,
        "title": "Datto networking (Push)",
        "publisher": "datto-siem",
        "descriptionMarkdown": (
            "Events of Datto access points, Secure Edge and switches, posted by datto-siem with"
            " the Logs Ingestion API."
        ),
        "graphQueries": [
            {"metricName": f"Events in {name}", "legend": name, "baseQuery": query}
            for name, query in queries.items()
        ],
        "sampleQueries": [
            {
                "description": "Wrong Wi-Fi passphrases by station",
                "query": (
                    "_Im_Authentication(eventresult='Failure')\n"
                    f"| where {from_vendors(asim, 'EventVendor')}\n"
                    "| summarize count() by SrcDvcId, TargetAppName"
                ),
            }
        ],
        "dataTypes": [
            {"name": name, "lastDataReceivedQuery": f"{query}\n{_LAST}"}
            for name, query in queries.items()
        ],
        "connectivityCriteria": [
            {
                "type": "IsConnectedQuery",
                "value": [
                    f"{every}\n| summarize Last = max(TimeGenerated)"
                    "\n| project IsConnected = Last > ago(7d)"
                ],
            }
        ],
        "availability": {"status": 1, "isPreview": True},
        "permissions": _permissions(),
        "instructionSteps": _steps(),
    }


def _ours(name: str, asim: Mapping[str, Any]) -> str:
    if name == UNKNOWN:
        return name
    if name == CSL:
        return f"{CSL} | where {from_vendors(asim, 'DeviceVendor')}"
    return f"{name} | where {from_vendors(asim, 'EventVendor')}"


def _permissions() -> dict[str, Any]:
    return {
        "resourceProvider": [
            {
                "provider": "Microsoft.OperationalInsights/workspaces",
                "permissionsDisplayText": "read and write permissions are required.",
                "providerDisplayName": "Workspace",
                "scope": "Workspace",
                "requiredPermissions": {"read": True, "write": True, "delete": True},
            }
        ],
        "customs": [
            {"name": "Microsoft Entra", "description": "May register an application."},
            {
                "name": "Microsoft Azure",
                "description": "May give the role Monitoring Metrics Publisher on the rule.",
            },
        ],
    }


def _steps() -> list[dict[str, Any]]:
    def shown(label: str, fill: str) -> dict[str, Any]:
        return {"type": "CopyableLabel", "parameters": {"label": label, "fillWith": [fill]}}

    return [
        {
            "title": "1. Make the resources",
            "description": "Table, rule, application and secret.",
            "instructions": [
                {
                    "type": "DeployPushConnectorButton",
                    "parameters": {
                        "label": "Deploy",
                        "applicationDisplayName": "datto-siem",
                    },
                }
            ],
        },
        {
            "title": "2. Tell datto-siem",
            "description": "Put these into an output of type sentinel, then run doctor.",
            "instructions": [
                shown("tenant", "TenantId"),
                shown("client_id", "ApplicationId"),
                shown("client_secret, for the environment", "ApplicationSecret"),
                shown("endpoint", "DataCollectionEndpoint"),
                shown("dcr", "DataCollectionRuleId"),
            ],
        },
    ]
