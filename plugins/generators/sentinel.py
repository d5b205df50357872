"""Microsoft Sentinel: ASIM parsers over CommonSecurityLog, data collection rule, one template.

Owns which files there are, the differences from the converter and the README. Parsers are
`_sentinel_functions`', Azure resources `_sentinel_arm`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from datto_siem.plugins.generators import _sentinel_arm as arm
from datto_siem.plugins.generators import _sentinel_connector as page
from datto_siem.plugins.generators._portable import portable
from datto_siem.plugins.generators._sentinel_functions import UNKNOWN_EVENTS, functions, probes
from datto_siem.plugins.generators._sentinel_read import OURS, SLOTS
from datto_siem.plugins.generators._sentinel_schema import SCHEMAS
from datto_siem.plugins.sentinel_streams import STREAMS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datto_siem.plugins.generator import Context
    from datto_siem.plugins.generators._sentinel_functions import Function

USAGE = "Microsoft Sentinel: ASIM parsers (KQL), data collection rule, connector, ARM template"
TARGETS: tuple[str, ...] = ()


class Difference(NamedTuple):
    """Where a parser's row is not what the converter writes.

    Attributes:
        path: Columns, as a pattern; members of an object after a point.
        rows: Rows it concerns: `any`, `posted` by datto-siem, or made by an `agent`.
        when: In which case.
        reason: Why, and what to do.
    """

    path: str
    rows: str
    when: str
    reason: str


KNOWN_DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "EventOriginalUid",
        "any",
        "always",
        "CommonSecurityLog has no column for the sender's id; EventUid is the service's _ItemId",
    ),
    Difference("EventUid", "any", "always", "the service's _ItemId, for the same reason"),
    Difference("Type", "any", "always", "the table that was read, not the one rows are made for"),
    Difference("RawEvent", "any", "always", "CommonSecurityLog keeps no original record"),
    Difference(
        "AdditionalFields AdditionalFields.ParseNotes",
        "any",
        "the decoder noted something",
        "notes on repairs stay with the forwarder: the table has no column for them",
    ),
    Difference("ParseWarnings", "any", "always", "for the same reason"),
    Difference(
        "DvcIpAddr SenderIp",
        "any",
        "the syslog header names a host",
        "Computer holds the host's name or the sender's address, not both",
    ),
    Difference(
        "SenderHost Dvc",
        "any",
        "that host is an address",
        "an address in Computer is read as the sender's",
    ),
    Difference(
        "EventSeverity",
        "any",
        "the severity is not one of CEF",
        "the severity of the syslog header would stand in; the table has no column for it",
    ),
    Difference(
        "DeviceVendor Extensions Extensions.msg",
        "posted",
        "the record is not CEF",
        "the row's vendor and Message are the table's, not the record's",
    ),
    Difference(
        "AdditionalFields AdditionalFields.* Extensions.*",
        "posted",
        "a key came twice",
        "an object in KQL has a name once: the values that do not count stay in"
        " AdditionalExtensions of the row that was read",
    ),
    Difference(
        "*",
        "any",
        "the record was cut",
        "the row does not say that it was cut on the way, so its last value counts as whole",
    ),
    Difference(
        "Groups AdditionalFields.Groups AdditionalFields.groups.* UrlCategory",
        "any",
        f"a group's number is none of 0 to {SLOTS - 1}",
        f"a query without loops reads {SLOTS} items of a list; the rest stay under their own keys",
    ),
    Difference(
        "*",
        "any",
        "two keys of one field disagree, one of them in other letters",
        "a key in other letters has no column of its own, so the documented one counts",
    ),
    Difference(
        "TimeGenerated",
        "agent",
        "always",
        "the agent's arrival time: what the service filters and partitions by",
    ),
    Difference(
        "EventStartTime EventEndTime EventTime",
        "agent",
        "no time of its own counts",
        "arrival stands in for the time of the syslog header, which the agent does not keep",
    ),
    Difference(
        "*",
        "agent",
        "a key came twice",
        "the agent keeps one value of a column, whichever it is: what counted may be gone, and"
        " where every pair has `=` a stranger's text may be what is kept; posted rows know better",
    ),
    Difference(
        "*",
        "agent",
        "something stands before the first key",
        "a reader of CEF drops what stands before the first `key=`: a colon pair there is gone",
    ),
    Difference(
        "*",
        "agent",
        "an undocumented key has a colon, or a tab parts pairs",
        "only pairs that the event documents, after blanks, are looked for inside values",
    ),
    Difference(
        "DnsQuery AdditionalFields.* Extensions.*",
        "agent",
        "a value holds `;`",
        "the agent writes it into AdditionalExtensions as it writes the end of a pair",
    ),
    Difference(
        "AdditionalFields.* TargetAppName Extensions.*",
        "agent",
        "the bytes are no UTF-8",
        "what the agent makes of them is not what datto-siem writes (\\xNN)",
    ),
    Difference(
        "*",
        "agent",
        "a value holds ` word=`",
        "the agent took the word for a key of its own and cut the value there",
    ),
)


def files(context: Context) -> Mapping[str, bytes]:
    """The whole artefact."""
    made = functions(context)
    asim = portable(context, "asim")
    tables = arm.carried(asim, portable(context, "csl"))
    shown = page.connector(tables, asim)
    template = arm.template(made, tables, shown, context.stamp)
    found = {f"functions/{each.name}.kql": each.body.encode() for each in made}
    found |= {f"custom/{name}.kql": text.encode() for name, text in unions(made).items()}
    found["mainTemplate.json"] = arm.dump(template)
    found["connector/definition.json"] = arm.dump(shown)
    found["connector/connection.json"] = arm.dump(page.push())
    found["transform-drop-probes.kql"] = arm.quiet(probes(context)).encode()
    found["README.md"] = _readme(context, made).encode()
    return found


def unions(made: Sequence[Function]) -> Mapping[str, str]:
    """What joins the parsers to the unifying ones: bodies of the workspace's own functions."""
    found = {}
    for each in made:
        if each.schema is not None:
            filtering = each.name == each.schema.filtering
            names = each.schema.filters if filtering else {}
            passed = ", ".join(f"{name}={name}" for name in ("starttime", "endtime", *names))
            name = f"{'Im' if filtering else 'ASim'}_{each.schema.name}Custom"
            passed = f"{passed}, disabled=false" if filtering else "disabled=false"
            found[name] = f"union isfuzzy=true\n    {each.name}({passed})\n"
    return found


def _readme(context: Context, made: Sequence[Function]) -> str:
    parsers = "\n".join(
        f"| {schema.name} | `{schema.parameterless}` | `{schema.filtering}` |"
        for schema in SCHEMAS.values()
        if any(each.schema is schema for each in made)
    )
    streams = "\n".join(f"| `{stream}` | {table} |" for table, stream in STREAMS.items())
    known = "\n".join(
        f"| `{row.path}` | {row.rows} | {row.when} | {row.reason} |" for row in KNOWN_DIFFERENCES
    )
    return _README.format(
        stamp=context.stamp,
        parsers=parsers,
        streams=streams,
        known=known,
        unknown=UNKNOWN_EVENTS,
        ours=OURS,
        slots=SLOTS,
        connector=page.CONNECTOR,
    )


_README = """\
# Datto networking for Microsoft Sentinel

{stamp}

## Install
1. Microsoft Sentinel must run on the workspace: the rule writes to its tables.
2. `az deployment group create -g GROUP -f mainTemplate.json -p workspace=WORKSPACE`
   Add `-p principal=OBJECT_ID` (of the service principal that posts) to give it the role
   Monitoring Metrics Publisher on the rule at once; the role takes up to 30 minutes to count.
3. The outputs `endpoint` and `dcr` go into an output of type `sentinel` of datto-siem;
   `datto-siem doctor` checks the rest.

The template makes the table Datto_CL, the data collection rule, every function below and the
connector page `{connector}`. Deploying again changes nothing but what differs. It needs
nothing from elsewhere. The page shows whether rows arrive; its Deploy button makes a rule and an
application of its own only where the page came with a content package, for which
`connector/definition.json` and `connector/connection.json` are the sources.

| stream | table |
|---|---|
{streams}

Rows in the native ASIM tables (`to = "asim"`) need no parser: `_Im_NetworkSession()` and its
like read them. Parsers are for CommonSecurityLog: rows that datto-siem posts (`to = "csl"`) and
rows that Azure Monitor Agent makes of Datto's own lines. Post to one of the two: both would count
every event twice.

## Functions
| schema | parameterless | filtering |
|---|---|---|
{parsers}

`{unknown}(starttime, endtime, disabled)` gives events that no schema takes, and
records that lack what theirs needs, in the columns of Datto_CL.

To let `_Im_<Schema>` and `_ASim_<Schema>` find them, make the workspace functions in `custom/`
(`Im_NetworkSessionCustom` and so on; parameters as those of the parser they call). Where your
workspace has one already, add our line to its union instead: the template makes none of these, so
that it overwrites none. Our parsers take no `pack`: leave it out of the line.

The access point is `Dvc` and `Dst`, the station `Src`, though Datto's `smac` is the access point:
in ASIM the one who starts the exchange is the source. CommonSecurityLog keeps Datto's own sides.

## Through an agent
- Datto's access points send pairs with a colon, which a reader of CEF leaves inside the value
  before them. The parsers part them again, by the columns the agent filled.
- Filters of Syslog copies look for `CEF:0`; Datto sends `CEF:1`: filter on `contains "CEF:"`.
- `transform-drop-probes.kql` is a transform for the agent's rule (stream
  Microsoft-CommonSecurityLog): it drops probe responses, most of what an access point sends.
- The rule here writes `{ours}` into CollectorHostName of rows that datto-siem posted. That is
  how a parser knows that a row was decoded already. With a rule of your own, do the same.

## What is not read
A time in words (`Nov 24 2026 10:00:00`, which no Datto sample has) counts as no time. Records that
are not CEF are in no row an agent makes here. Rows of other vendors are left alone.

## What differs from datto-siem
Held against `datto-siem convert --to asim` on every fixture, the hostile corpus and simulated
traffic, for both kinds of rows; the queries are bound and typed by Microsoft's language service
and run by duckdb-kql (which lacks `has_any_ipv4_prefix`: there a simpler test stands in for it).
Never run in a workspace: whether the agent takes `CEF:1` at all, and which of two equal keys it
keeps, is not published; the agent of our tests keeps the last.

| columns | rows | when | why |
|---|---|---|---|
{known}
"""
