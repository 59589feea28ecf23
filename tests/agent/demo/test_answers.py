import json

import pytest

from agent.demo.answers import heard, kept, newest_run, proof
from agent.demo.errors import DemoError
from agent.readings_socket import pack_line
from drivers.reading import Quality, Reading

RUN, NEXT = "a" * 32, "b" * 32
TOTALS = {
    "taken": 12,
    "settled": 10,
    "held": 1,
    "in_gaps": 1,
    "lost": 0,
    "twice": 0,
    "unverified": 0,
    "refused": 6,
    "doubles_refused": 2,
    "chain": "ok",
}


def audit(lines: list[dict[str, object]], **totals: object) -> str:
    return json.dumps({"totals": TOTALS | totals, "nodes": [{"node": "dago-01", "lines": lines}]})


@pytest.mark.parametrize("value", [8.5, 3, True, "up"])
def test_a_line_of_the_daemons_socket_is_read_with_its_flags(value: float | bool | str) -> None:  # noqa: FBT001 - a value may be a bool
    flags = frozenset({Quality.STEP, Quality.WARMING_UP})
    line = pack_line(Reading(sensor="air", channel="x", value=value, unit="1", boot_ns=0, quality=flags), 0)
    found = heard(line)
    assert found is not None
    assert (found.path, found.value, found.unit, found.flags) == ("air/x", value, "1", ("step", "warming_up"))


def test_the_mark_behind_the_first_readings_is_no_reading() -> None:
    assert heard(b"[]\n") is None


def test_a_row_of_the_center_is_read() -> None:
    row = kept(json.dumps({"n": "alarm/banjir", "run": RUN, "boot_ms": 7, "stream": "alarm", "v": "clear"}).encode())
    assert (row.path, row.run, row.boot_ms, row.alarm) == ("alarm/banjir", RUN, 7, True)


def test_an_audit_says_how_each_run_ended() -> None:
    lines: list[dict[str, object]] = [
        {"run": RUN, "clean": None},
        {"run": RUN, "clean": False},
        {"run": NEXT, "clean": None},
    ]
    found = proof(audit(lines))
    assert found.ends == {RUN: False, NEXT: None}
    assert (found.taken, found.settled, found.held, found.in_gaps, found.refused) == (12, 10, 1, 1, 6)


def test_a_later_line_that_says_nothing_does_not_hide_how_a_run_ended() -> None:
    assert proof(audit([{"run": RUN, "clean": False}, {"run": RUN, "clean": None}])).ends == {RUN: False}


@pytest.mark.parametrize(
    "fault", [{"lost": 1}, {"twice": 1}, {"unverified": 1}, {"chain": "broken"}, {"chain": "open"}]
)
def test_a_proof_holds_only_without_any_fault(fault: dict[str, object]) -> None:
    assert proof(audit([])).holds
    assert not proof(audit([], **fault)).holds


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"totals": {}, "nodes": []}', '{"totals": 1, "nodes": []}'])
def test_an_audit_that_is_none_is_named(text: str) -> None:
    with pytest.raises(DemoError, match="audit cannot be read"):
        proof(text)


def test_the_newest_run_of_a_log_is_its_last() -> None:
    assert newest_run("") is None
    assert newest_run(f"info: run {RUN} begins: node=x\nrun {RUN} ended\nrun {NEXT} begins: node=x\n") == NEXT
