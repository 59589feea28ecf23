import json

import pytest

from agent.demo.answers import Proof
from agent.demo.result import Result
from agent.demo.tally import Drain, Tally

KILLED = "a" * 32


def result(*, lost: int = 0, while_cut: int = 4, clean: bool | None = False, chain: str = "ok") -> Result:
    proof = Proof(
        taken=9,
        settled=9,
        held=0,
        in_gaps=0,
        lost=lost,
        twice=0,
        unverified=0,
        refused=6,
        doubles=0,
        chain=chain,
        ends={KILLED: clean},
    )
    tally = Tally(taken_while_cut=while_cut, alarms=2)
    tally.by_sensor.update({"air": 3, "gps": 3, "host": 2, "alarm": 1})
    tally.drain = Drain(up_to_ms=0, readings=4, missing=0, begun_s=1.0, ended_s=3.0)
    return Result(proof=proof, tally=tally, killed=KILLED, broker="mosquitto 2.0.11", seconds=58.71)


def test_a_program_reads_all_of_it_in_one_line() -> None:
    text = result().as_json()
    assert "\n" not in text
    found = json.loads(text)
    assert found | {"python": "", "settled": 9} == {
        "taken": 9,
        "settled": 9,
        "held": 0,
        "in_gaps": 0,
        "lost": 0,
        "twice": 0,
        "unverified": 0,
        "chain": "ok",
        "sensors": ["air", "gps"],
        "protocols": ["nmea", "sds011"],
        "taken_while_cut": 4,
        "predecessor": {"run": KILLED, "clean": False},
        "alarms": 2,
        "refused": 6,
        "drain": {"readings": 4, "seconds": 2.0, "per_s": 2},
        "broker": "mosquitto 2.0.11",
        "python": "",
        "seconds": 58.7,
        "failures": [],
    }


def test_people_read_that_it_is_proven() -> None:
    assert result().as_text().splitlines()[-1] == "proven"


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (result(lost=2), "lost 2"),
        (result(chain="open"), "chain open"),
        (result(while_cut=0), "no reading was taken while the link was cut"),
        (result(clean=True), "no start record names the killed run as unclean"),
        (result(clean=None), "no start record names the killed run as unclean"),
    ],
)
def test_what_was_promised_and_did_not_come_is_named(broken: Result, told: str) -> None:
    assert broken.failures == [told]
    assert broken.as_text().endswith(f"NOT proven: {told}")
