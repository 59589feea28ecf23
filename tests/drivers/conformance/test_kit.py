"""Each check of the kit for each driver of the registry. `make conformance` prints the same as a table."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.conformance.kit import KIT, check
from drivers.conformance.noise import survives
from drivers.conformance.subject import Subject
from tests.drivers.conformance.families import COMMANDS, DRIVERS, subjects

SUBJECTS = subjects()
_NAMES = [name for _, name in SUBJECTS]
_MINUTES = 60


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=_NAMES)
@pytest.mark.parametrize("name", KIT)
def test_each_driver_passes_each_check_that_applies(name: str, subject: Subject) -> None:
    result = check(name, subject)
    if result.outcome == "n/a":
        pytest.skip(result.words)
    assert result.outcome == "pass", result.words


@pytest.mark.campaign
@pytest.mark.timeout(60 * _MINUTES)
@pytest.mark.parametrize("subject", subjects(full=True).values(), ids=_NAMES)
@pytest.mark.parametrize("name", ["K5", "K6", "K7", "K9", "K18"])
def test_each_driver_passes_the_long_checks_in_full(name: str, subject: Subject) -> None:
    result = check(name, subject)
    assert result.outcome != "fail", result.words


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=_NAMES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(max_size=80), max_size=6), st.lists(st.integers(0, 10**11), max_size=3))
def test_any_bytes_at_any_times_raise_nothing(subject: Subject, chunks: list[bytes], pauses_ns: list[int]) -> None:
    survives(subject, chunks, pauses_ns)


def test_no_driver_of_the_registry_is_left_out() -> None:
    assert {row for row, _ in SUBJECTS} == set(DRIVERS.names())


def test_a_driver_that_is_polled_declares_what_it_writes_and_only_such_a_one_writes() -> None:
    families = {DRIVERS.info(name).family for name in DRIVERS.names() if DRIVERS.info(name).mode == "poll"}
    assert families <= set(COMMANDS)
    assert set(COMMANDS) - families == {"iec62056", "ultrasonic"}
