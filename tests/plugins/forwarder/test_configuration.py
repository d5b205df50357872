"""The configuration: every fault at once, with its line, and never a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from datto_siem.plugins.forwarder import configuration
from datto_siem.plugins.forwarder.configuration import ConfigurationFaults, schema
from datto_siem.plugins.registry import names, plugin

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
[log]
path = "{dir}/log"
max_bytes = "1GB"

[admin]
address = "127.0.0.1:0"

[[listen]]
type = "stdin"

[[output]]
name = "out"
type = "file"
path = "{dir}/out.ndjson"
batch = {{ count = 10, age = "250ms" }}
drop = ["wifi/probe"]

[[output]]
name = "splunk"
type = "splunk_hec"
url = "https://splunk.example:8088"
token = {{ env = "HEC_TOKEN" }}
"""


def read(folder: Path, text: str) -> configuration.Configuration:
    path = folder / "forward.toml"
    path.write_text(text.replace("{dir}", str(folder)).replace("{{", "{").replace("}}", "}"))
    return configuration.read(path)


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationFaults) as caught:
        read(folder, text)
    prefix = f"{folder}/forward.toml:"
    assert all(fault.startswith(prefix) for fault in caught.value.faults)
    return [fault.removeprefix(prefix) for fault in caught.value.faults]


def test_a_good_file_becomes_typed_options(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    assert found.log.max_bytes == 10**9
    assert found.log.policy == "block"
    assert [output.name for output in found.outputs] == ["out", "splunk"]
    out = found.output("out").common
    assert (out.batch.count, out.batch.age, out.batch.bytes) == (10, 0.25, None)
    assert out.drop == ["wifi/probe"]
    assert found.listeners[0].name == "stdin"
    assert [secret.env for secret in found.secrets()] == ["HEC_TOKEN"]
    with pytest.raises(LookupError, match="there are out, splunk"):
        found.output("elastic")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[log]", "[lgo]"), "1: no option 'lgo'; did you mean 'log'?"),
        (('path = "{dir}/log"\n', ""), "1: missing: path"),
        (('"1GB"', '"lots"'), '3: `max_bytes` must be a number or text such as "64MB"'),
        (("127.0.0.1:0", "0.0.0.0:9514"), "6: 0.0.0.0 is not loopback"),
        (("127.0.0.1:0", "here"), "6: 'here' is no address"),
        (('"stdin"', '"udpp"'), "9: no listen type 'udpp'; did you mean 'udp'?"),
        (('name = "out"', 'name = "Out!"'), "12: `name` must match"),
        (('"file"', '"fil"'), "13: no output type 'fil'; did you mean 'file'?"),
        (('"file"', "7"), "13: no output type 7; "),
        (('"file"', '"../sink"'), "13: no output type '../sink'; "),
        (("count = 10", "count = 0"), "15: `count` must be at least 1"),
        (("count = 10", "cuont = 10"), "15: no option 'cuont'; did you mean 'count'?"),
        (('["wifi/probe"]', '"wifi/probe"'), "16: `drop` must be of type array"),
        (('name = "splunk"', 'name = "out"'), "18: another output is named 'out'"),
        (('{{ env = "HEC_TOKEN" }}', '"s3cret-value"'), "22: `token` is a secret: write { env"),
        (('{{ env = "HEC_TOKEN" }}', '{{ env = "" }}'), "22: `env` must not be empty"),
        (("https://", "ftp://"), "21: `url` must match"),
        (("[[listen]]\ntype", "[listen]\ntype"), "8: `listen` must be of type array"),
        (("[[output]]", "[[outpt]]"), "1: missing: output"),
        (("[[output]]", "[[outpt]]"), "11: no option 'outpt'; did you mean 'output'?"),
        (("max_bytes =", "max_bytes"), "3: "),
        (('"1GB"', '"1GB'), "3: "),
    ],
    ids=lambda value: str(value)[:40],
)
def test_each_fault_has_its_line_and_a_remedy(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    text = GOOD.replace(*change)
    assert text != GOOD
    found = faults(tmp_path, text)
    assert any(fault.startswith(said) for fault in found), found
    assert "s3cret-value" not in "\n".join(found)


def test_all_faults_come_at_once_in_order_of_lines(tmp_path: Path) -> None:
    text = GOOD.replace('"1GB"', '"x"').replace("count", "cuont").replace("https:", "ftp:")
    assert [int(fault.split(":")[0]) for fault in faults(tmp_path, text)] == [3, 15, 21]


def test_what_belongs_together_is_told_at_its_output(tmp_path: Path) -> None:
    text = GOOD + '\n[output.tls]\nca_file = "/nowhere.pem"\n'
    assert faults(tmp_path, text) == ["25: no file /nowhere.pem"]
    text = GOOD + '\n[tables]\noverlay = "/nowhere"\n'
    assert faults(tmp_path, text) == ["25: /nowhere is no directory"]


def test_one_address_has_one_listener_of_a_transport(tmp_path: Path) -> None:
    udp = '[[listen]]\ntype = "udp"\naddress = "127.0.0.1:5514"\n'
    tcp = udp.replace('"udp"', '"tcp"')
    read(tmp_path, GOOD.replace("[[listen]]", udp + tcp + "[[listen]]"))
    again = tcp + 'name = "second"\n'
    assert faults(tmp_path, GOOD.replace("[[listen]]", udp + tcp + again + "[[listen]]")) == [
        "16: 127.0.0.1:5514 is taken by listener 'tcp'"
    ]


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "forward.toml"
    path.write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigurationFaults, match="not UTF-8 at byte 5"):
        configuration.read(path)


def test_the_printed_schema_takes_what_is_taken() -> None:
    whole = schema()
    jsonschema.Draft202012Validator.check_schema(whole)
    checker = jsonschema.Draft202012Validator(whole)
    good: dict[str, Any] = {
        "log": {"path": "/x"},
        "listen": [{"type": "stdin"}],
        "output": [{"name": "out", "type": "file", "path": "/y"}],
    }
    assert checker.is_valid(good)
    assert not checker.is_valid({**good, "output": [{"name": "out", "type": "nope"}]})
    assert not checker.is_valid({**good, "output": [{**good["output"][0], "extra": 1}]})


def test_the_shipped_example_is_good(tmp_path: Path) -> None:
    from datto_siem.plugins import deploy

    folder = deploy.__path__[0]
    found = configuration.read(type(tmp_path)(folder) / "forward.example.toml")
    assert [output.name for output in found.outputs] == ["local"]


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in ("sinks", "sources") for name in names(kind)]
)
def test_every_plugins_example_is_a_good_configuration(
    tmp_path: Path, kind: str, name: str
) -> None:
    module = plugin(kind, name)
    assert module.USAGE.strip()
    example = module.EXAMPLE
    head = '[log]\npath = "/x"\n'
    if kind == "sinks":
        text = f'{head}[[listen]]\ntype = "stdin"\n{example}'
    else:
        text = f'{head}{example}[[output]]\nname = "o"\ntype = "file"\npath = "/y"\n'
    path = tmp_path / "forward.toml"
    path.write_text(text)
    # files an example names need not be on this machine
    assert [fault for fault in _faults(path) if ": no file /" not in fault] == []


def _faults(path: Path) -> list[str]:
    try:
        configuration.read(path)
    except ConfigurationFaults as error:
        return error.faults
    return []


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in ("sinks", "sources") for name in names(kind)]
)
def test_every_option_is_explained(kind: str, name: str) -> None:
    from datto_siem.plugins.options import documented

    for option, _, _, doc in documented(plugin(kind, name).Config):
        assert doc[0].isupper(), option
        assert not doc.endswith("."), option
