import json
from collections.abc import Callable

import pytest

from agent.config.effective import stamp
from agent.config.load import Parsed
from agent.config.model import Config

Check = Callable[..., Parsed]

RIVER = '[sensor.river]\ndriver = "sonar"\nport = "usb:1-1.2"\nmount_height = "4 m"\nevery = "1 s"\n'
AIR = '[sensor.air]\ndriver = "dust"\nport = "usb:1-1.3"\n'
ALARM = '[alarm.a]\nwatch = "river/level"\nlevels = { a = "3 m" }\naccept = ["step", "stale"]\n'


def config(parsed: Parsed) -> Config:
    assert parsed.problems == ()
    assert parsed.config is not None
    return parsed.config


def test_the_hash_is_that_of_the_effect(check: Check) -> None:
    one = config(check(RIVER + AIR + ALARM)).hash
    assert len(one) == 64
    reordered = "# a note\n" + ALARM.replace('"step", "stale"', '"stale", "step"') + AIR + RIVER
    assert config(check(reordered)).hash == one
    respelled = (
        RIVER.replace('"1 s"', '"1000 ms"').replace('"4 m"', '"400 cm"') + AIR + ALARM + '[seal]\nlive = "10 s"\n'
    )
    assert config(check(respelled)).hash == one
    assert config(check(RIVER, AIR, ALARM)).hash == one


@pytest.mark.parametrize(
    ("old", "new"), [('"1 s"', '"2 s"'), ('"4 m"', '"5 m"'), ('"3 m"', '"2 m"'), (', "stale"', ""), ("1-1.3", "1-1.4")]
)
def test_any_change_of_effect_changes_the_hash(check: Check, old: str, new: str) -> None:
    text = RIVER + AIR + ALARM
    assert config(check(text.replace(old, new))).hash != config(check(text)).hash


def test_the_redacted_text_is_json_of_the_effect(check: Check) -> None:
    told = json.loads(config(check(RIVER + ALARM + "[host]\ninterfaces = ['eth0']\n")).redacted)
    assert told["sensors"][0]["options"] == {"mount_height": "4 m"}
    assert told["spool"]["segment_bytes"] == 1_048_576
    assert told["host"]["interfaces"] == ["eth0"]
    assert "hash" not in told


def test_what_looks_like_a_secret_is_hidden_from_the_text_and_counts_in_the_hash(check: Check) -> None:
    text = RIVER + 'map = { api_token = "s3cret", more = [{ password = "pw" }] }\n'
    one = config(check(text))
    assert "s3cret" not in one.redacted
    assert "pw" not in json.loads(one.redacted)["sensors"][0]["options"]["map"]["more"][0].values()
    assert config(check(text.replace("s3cret", "other"))).hash != one.hash


def test_stamping_twice_changes_nothing(check: Check) -> None:
    one = config(check(RIVER))
    assert stamp(one) == one
