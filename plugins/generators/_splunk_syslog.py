"""Regular expressions of the syslog header: priority, host, application, and the text after it.

The forms of `converters.syslog`, header after header when a record was relayed: groups keep what
the last header that had it said, so an outer header fills what the inner one leaves out.
"""

from __future__ import annotations

import re

from datto_siem.converters import times
from datto_siem.plugins.generators._splunk_types import INK, IP4, MARK

_CLOCK = r"[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?"
_ISO = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt ]{_CLOCK}(?:[Zz]|[+-][0-9]{{2}}:?[0-9]{{2}})?"
_ZONES = "|".join(
    sorted({*times.ZONES, *times.AMBIGUOUS_ZONES}, key=lambda name: (-len(name), name))
)
_END = r"(?=\s|\z)"
_BARE_CEF = r"[0-9]{1,9}(?:\.[0-9]{1,9})?\|"
_CEF = r"CEF:[ \t]?[0-9]{1,9}(?:\.[0-9]{1,9})?\|"
_DATED = (
    rf"[0-9]{{4}} {{1,3}}[A-Z][a-z]{{2}} {{1,3}}[0-9]{{1,2}},? {{1,3}}{_CLOCK}"
    rf"|[A-Z][a-z]{{2}} {{1,3}}[0-9]{{1,2}},? {{1,3}}[0-9]{{4}},? {{1,3}}{_CLOCK}"
)
_UNDATED = rf"[A-Z][a-z]{{2}} {{1,3}}[0-9]{{1,2}},? {{1,3}}{_CLOCK}"
_ZONE = rf"(?:Z| (?:{_ZONES}|[+-][0-9]{{2}}:?[0-9]{{2}})(?=[ :]|\z))?(?: [0-9]{{4}}(?= |\z))?"
_DATED_STAMP = rf"(?:{_DATED}){_ZONE}:?(?= |\z) {{0,3}}"
_STAMP = rf"(?:{_UNDATED}{_ZONE}|{_ISO}):?(?= |\z) {{0,3}}"
_LEAD = rf'(?:{MARK}|[\s"]){{0,8}}(?:[0-9]{{1,6}} (?=<))?'
_PRI = r"<(?:(?<line_pri>1?[0-9]{1,2}(?=>)(?<!19[2-9]))|[0-9]{1,3})> {0,3}"
_CISCO = r"(?:[0-9]{1,10}: {1,3})?[*.]?"
_TAG_WORD = rf'(?!{_CEF})[^\s:\[\]|=<>"%]{{1,128}}'
_TAG = rf"{_TAG_WORD}(?:\[[^\]\s|]{{0,64}}\])?:{_END}\s{{0,3}}"
_APP_TAG = rf"(?<line_app>{_TAG_WORD})(?:\[[^\]\s|]{{0,64}}\])?:{_END}\s{{0,3}}"
_NAME = r'(?:-:?(?=\s|\z)|(?<line_host>[^\s|=<>"\[\]]{1,254}[^\s|=<>"\[\]:]|[^\s|=<>"\[\]:])'
_HOST = rf"{_NAME}:?){_END}\s{{0,3}}(?:[:-]{_END}\s{{0,3}})?"
_WORDS = (
    rf"(?:{_ISO}|-) +(?:- +|(?<line_host>[^ |]+) +)(?:- +|(?<line_app>[^ |]+) +)[^ |]+ +[^ |]+"
    r"(?: +|\z)"
    r'(?:-(?= |\z)|(?:\[(?:[^\\"\]]++|\\.|"(?:[^\\"]++|\\.)*+")*+\])++(?=.|\z))'
    rf" {{0,3}}(?:{MARK})?"
)
_VERSION = r"[1-9][0-9]{0,2} {1,3}"
_VERSION_ALONE = rf"{_VERSION}(?=-|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt])"
_WORD = r'[^\s|=<>"]{1,128}\s*'


def _header(stop: str) -> str:
    """One header, without the last alternative; `stop` is what no host can be."""
    dotted_tag = rf"(?:{IP4}|(?=[^\s:\[\]|=<>\"%.]{{0,128}}[.])[^\s:\[\]|=<>\"%]{{1,128}}|-)"
    host = rf"(?!{_TAG})(?!{stop}){_HOST}"
    colon_host = rf"(?=[^\s:\[\]]+:{_END}){_HOST}"
    return (
        rf"(?|{_PRI}{_VERSION}{_WORDS}"
        rf"|(?:{_PRI})?{_CISCO}{_DATED_STAMP}(?|{colon_host}|{host})?(?:{_APP_TAG})?"
        rf"|(?|(?:{_PRI})?(?:{_VERSION})?{_CISCO}{_STAMP}|{_PRI}{_VERSION}-(?= |\z) {{0,3}})"
        rf"(?|(?={dotted_tag}:{_END}){_HOST}|{host})?(?:{_APP_TAG})?"
    )


_STOP = rf"{_STAMP}|{_DATED_STAMP}|<[0-9]|{_CEF}"
PREFIX = (
    rf"(?s)^{_LEAD}(?:(?!{_CEF}){_header(_STOP)}"
    rf"|{_PRI}(?!{_TAG})(?!{_STOP}){_HOST}(?:{_APP_TAG}|{_WORD})?(?=<[0-9]|{_CEF}|{_BARE_CEF})"
    rf"|{_PRI}{_VERSION_ALONE}|{_PRI}))++"
)
"""Before a CEF header: `line_pri`, `line_host`."""
_HEADERS = (
    rf"(?:(?:^{_LEAD}|(?=<[0-9]{{1,3}}>)){_header('<[0-9]')}"
    rf"|{_PRI}{_VERSION_ALONE}|{_PRI}(?(<line_pri>)|(?!))(?:(?!)())?(?:{_APP_TAG})?))++"
)
MESSAGE = rf"(?s)^{_HEADERS}(?<line_message>.*{INK})?"
"""A message that is not CEF: `line_pri`, `line_host`, `line_app`, and its text."""
_UNNAMED = re.sub(r"[(][?]<line_[a-z]+>", "(?:", _HEADERS.replace("(?(<line_pri>)|(?!))", ""))
IS_MESSAGE = rf"(?s)^{_HEADERS}"
"""Whether a record has one."""
BARE = (
    rf"(?=[^|]*+\|[ ]?(?i:datto)[ ]?\|)(?:{_UNNAMED})?"
    rf'(?:{MARK}|[\s"]){{0,8}}(?={_BARE_CEF})'
)
"""The way to a CEF header whose `CEF:` a daemon took for its tag and ate."""
