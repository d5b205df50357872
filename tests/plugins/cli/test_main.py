from __future__ import annotations

import sys
from importlib import import_module

import pytest

from datto_siem.plugins.cli.main import COMMANDS, main

LINE = b"CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300412 smac=02:00:5E:10:00:03\n"
ACTIONS = [(name,) for name in COMMANDS] + [("tables", each) for each in ("check", "docs", "new")]


@pytest.mark.parametrize("words", [(), *ACTIONS], ids=" ".join)
def test_every_help_has_an_example_and_the_exit_codes(cli, words):
    done = cli(*words, "--help")
    text = done.out.decode()
    assert done.code == 0
    assert "\nexamples:\n  datto-siem " in text
    assert "\nexit codes: 0 " in text
    assert " 2 " in text.partition("exit codes")[2]


def test_the_overview_lists_every_command(cli):
    text = cli("--help").out.decode()
    assert [name for name in COMMANDS if f"    {name} " not in text] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_module_with_its_two_functions(name):
    module = import_module(f"datto_siem.plugins.cli.{name}")
    assert callable(module.add)
    assert callable(module.run)


def test_the_version_is_that_of_the_package(cli):
    from importlib.metadata import version

    assert cli("--version").out.decode() == f"datto-siem {version('datto-siem')}\n"


def test_no_command_is_misuse(cli):
    done = cli()
    assert (done.code, done.out) == (2, b"")
    assert done.err == (
        "datto-siem: the following arguments are required: COMMAND: see `datto-siem --help`\n"
    )


def test_an_unknown_command_lists_the_commands(cli):
    done = cli("convret")
    assert done.code == 2
    assert [name for name in COMMANDS if name not in done.err] == []


def test_an_unknown_option_points_to_the_help(cli):
    done = cli("convert", "--to", "ecs", "--fast")
    assert done.code == 2
    assert done.err == (
        "datto-siem: unrecognized arguments: --fast: see `datto-siem convert --help`\n"
    )


def test_options_are_not_abbreviated(cli):
    assert cli("convert", "--to", "ecs", "--qui", stdin=LINE).code == 2


SHAPELESS = b"no record: it takes the ordinary way\n"


def test_an_error_of_ours_shows_no_trace_but_how_to_report(cli, monkeypatch):
    def broken(*args, **rest):
        raise ZeroDivisionError("division by zero")

    monkeypatch.delenv("DATTO_SIEM_DEBUG", raising=False)
    monkeypatch.setattr("datto_siem.converters.Converter.dump", broken)
    done = cli("convert", "--to", "ecs", stdin=SHAPELESS)
    assert done.code == 2
    assert done.err == (
        "datto-siem: an error of ours, RuntimeError: record 1 of the input:"
        " ZeroDivisionError('division by zero'): please report it with the input that shows it;"
        " DATTO_SIEM_DEBUG=1 shows where\n"
    )
    monkeypatch.setenv("DATTO_SIEM_DEBUG", "1")
    assert "Traceback" in cli("convert", "--to", "ecs", stdin=SHAPELESS).err


def test_an_interrupt_anywhere_is_130(cli, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("datto_siem.plugins.cli.validate.sources", interrupted)
    done = cli("validate", "--as", "ecs")
    assert (done.code, done.err) == (130, "datto-siem: interrupted: run it again\n")


def test_nothing_is_said_where_there_is_no_standard_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["convert", "--to", "leef"]) == 2
