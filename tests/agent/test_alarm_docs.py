"""The page about alarms says what the code does."""

import re

import tomli

from agent.config.load import parse
from drivers.io.catalog import registry
from tests.agent.alarm_table import BEGIN, END, PAGE, table

TEXT = PAGE.read_text("utf-8")


def test_the_table_is_that_of_the_catalogue() -> None:
    shown = TEXT.partition(BEGIN)[2].partition(END)[0]
    assert shown == table(), "write it anew: python -m tests.agent.alarm_table"


def test_every_example_is_right_toml_and_the_ones_about_silence_are_right_sensors() -> None:
    examples = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert len(examples) == 5
    assert all(tomli.loads(example) for example in examples)
    base = 'node = "n1"\ncity = "c1"\n[center]\nurl = "mqtts://c:8883"\n[hotspot]\n'
    parsed = parse([("a.toml", base.encode()), ("b.toml", (examples[2] + examples[4]).encode())], registry())
    assert parsed.problems == ()
    assert parsed.config is not None
    assert [alarm.name for alarm in parsed.config.alarms] == ["drops", "mains-lost"]
