"""The configuration of a log in Kafka: what is refused, and what each role needs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from datto_siem.plugins import options
from datto_siem.plugins.forwarder import (
    configuration,
    kafka_client,
    kafka_options,
    opening,
    readiness,
    sections,
)
from datto_siem.plugins.forwarder.configuration import ConfigurationFaults
from datto_siem.plugins.forwarder.kafka_dead_letters import KafkaDeadLetters
from datto_siem.plugins.forwarder.kafka_log import KafkaLog

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
[log]
type = "kafka"
path = "{dir}/log"
[log.kafka]
servers = ["kafka-1.example:9093", "[2001:db8::1]:9093"]
topic = "datto"
partitions = 12
dead_letters = "datto.dead"
tls = { ca_file = "{dir}/ca.pem", client_cert = "{dir}/client.pem" }
sasl = { username = "forwarder", password = { env = "KAFKA_PASSWORD" } }
properties = { "client.rack" = "a" }
[[listen]]
type = "stdin"
[[output]]
name = "splunk"
type = "splunk_hec"
url = "https://splunk.example:8088"
token = { env = "HEC_TOKEN" }
"""


def read(folder: Path, text: str = GOOD) -> configuration.Configuration:
    for name in ("ca.pem", "client.pem"):
        (folder / name).write_text("")
    path = folder / "forward.toml"
    path.write_text(text.replace("{dir}", str(folder)))
    return configuration.read(path)


def test_a_good_file_becomes_settings_of_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "s3cret")
    found = read(tmp_path)
    assert found.log.kafka is not None
    assert found.log.kafka.group_of("splunk") == "datto-siem.splunk"
    settings = kafka_client.settings(found.log.kafka)
    assert settings["bootstrap.servers"] == "kafka-1.example:9093,[2001:db8::1]:9093"
    assert settings["security.protocol"] == "SASL_SSL"
    assert settings["sasl.mechanism"] == "SCRAM-SHA-512"
    assert settings["sasl.password"] == "s3cret"
    assert settings["ssl.ca.location"] == f"{tmp_path}/ca.pem"
    assert settings["ssl.key.location"] == f"{tmp_path}/client.pem"
    assert settings["client.rack"] == "a"
    assert "enable.ssl.certificate.verification" not in settings
    assert "s3cret" not in repr(found)
    assert [each.env for each in found.secrets()] == ["HEC_TOKEN", "KAFKA_PASSWORD"]
    assert isinstance(opening.open_log(found), KafkaLog)
    assert isinstance(opening.open_dead_letters(found, found.outputs[0]), KafkaDeadLetters)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('type = "kafka"\n', ""), '3: [log.kafka] needs type = "kafka" in [log]'),
        (('path = "', 'keep = "1d"\npath = "'), "3: `keep` is for the embedded log: set the topic"),
        (('"kafka-1.example:9093"', '"kafka-1.example"'), '["kafka-1.example:9093"]'),
        (('topic = "datto"', 'topic = "da/tto"'), "6: `topic` must match"),
        (('"datto.dead"', '"datto"'), "name another topic than kafka.topic"),
        (("ca.pem", "none.pem"), "no file"),
        (('"client.rack"', '"acks"'), "'acks' is not free to set"),
        (('"client.rack"', '"ssl.key.password"'), "'ssl.key.password' is not free to set"),
        (('{ env = "KAFKA_PASSWORD" }', '"hunter2"'), "is a secret: write"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    with pytest.raises(ConfigurationFaults) as caught:
        read(tmp_path, GOOD.replace(*change))
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_example_is_valid(tmp_path: Path) -> None:
    found = read(tmp_path, kafka_options.EXAMPLE + GOOD[GOOD.index("[[listen]]") :])
    assert found.log.kafka is not None
    assert found.log.kafka.dead_letters == "datto-siem.dead"
    documented = {row[0] for row in options.documented(sections.Log)}
    assert {"type", "kafka.servers", "kafka.tls.ca_file", "kafka.sasl.password"} <= documented


def test_a_password_is_not_shown_to_everybody_between(tmp_path: Path) -> None:
    text = GOOD.replace("partitions = 12", "plaintext = true")
    read(tmp_path, text)
    with pytest.raises(ConfigurationFaults, match="use SCRAM or TLS"):
        read(tmp_path, text.replace("username =", 'mechanism = "PLAIN", username ='))


def test_the_type_needs_its_table(tmp_path: Path) -> None:
    head, rest = GOOD.split("[log.kafka]")
    with pytest.raises(ConfigurationFaults, match=r"2: .*needs a table \[log.kafka\]"):
        read(tmp_path, head + rest[rest.index("[[listen]]") :])


def test_a_receiver_needs_no_secret_of_an_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "s3cret")
    monkeypatch.delenv("HEC_TOKEN", raising=False)
    text = GOOD.replace(
        'tls = { ca_file = "{dir}/ca.pem", client_cert = "{dir}/client.pem" }\n', ""
    )
    found = read(tmp_path, text)
    assert readiness.faults(found, "receiver") == []
    assert readiness.faults(found, "worker") == [
        "environment variable HEC_TOKEN is not set: set it"
    ]
    monkeypatch.delenv("KAFKA_PASSWORD")
    (fault,) = readiness.faults(found, "receiver")
    assert "KAFKA_PASSWORD" in fault


def test_a_setting_the_client_does_not_know_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "s3cret")
    monkeypatch.setenv("HEC_TOKEN", "t")
    found = read(tmp_path)  # its certificates are empty files
    (fault,) = readiness.faults(found)
    assert fault.startswith("log.kafka: ")
    assert "ssl" in fault
    assert "s3cret" not in fault


def test_the_extra_is_named_when_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "s3cret")
    monkeypatch.setenv("HEC_TOKEN", "t")
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    (fault,) = readiness.faults(read(tmp_path))
    assert fault == "log.type = \"kafka\" needs more: pip install 'datto-siem[kafka]'"


def test_a_role_needs_a_log_that_is_shared(tmp_path: Path) -> None:
    text = GOOD[GOOD.index("[[listen]]") : GOOD.index("[[output]]")]
    text += '[[output]]\nname = "local"\ntype = "file"\npath = "{dir}/out"\n'
    found = read(tmp_path, '[log]\npath = "{dir}/log"\n' + text)
    assert readiness.faults(found) == []
    (fault,) = readiness.faults(found, "worker")
    assert fault == '--role worker needs a log that machines share: log.type = "kafka"'
