from dataclasses import astuple, replace

import pytest

from agent.config.load import parse
from agent.demo.scenario import PROTOCOLS, SENSORS, SHORTEST_S, Wiring, configuration, timeline
from drivers.io.catalog import registry

WIRING = Wiring(
    url="mqtts://127.0.0.1:1883", protocol="5", keys="/t/keys", spool="/t/spool", run="/t/run", ports="/t/ports"
)


@pytest.mark.parametrize("for_s", [SHORTEST_S, 60.0, 3600.0])
def test_the_steps_follow_one_another_and_leave_time_for_the_proof(for_s: float) -> None:
    moments = astuple(timeline(for_s))
    assert list(moments) == sorted(set(moments))
    assert moments[-1] == for_s
    assert moments[-1] - moments[-2] >= 3


def test_there_are_five_sensors_of_four_protocols_or_more() -> None:
    assert len(SENSORS) >= 5
    assert len(set(PROTOCOLS.values())) >= 4


def test_the_configuration_has_no_problem() -> None:
    parsed = parse([("agent.toml", configuration(WIRING).encode())], registry())
    assert [str(problem) for problem in parsed.problems] == []
    assert [one.sensor.name for one in parsed.fitted] == [sensor.name for sensor in SENSORS]


def test_folders_with_odd_names_are_quoted() -> None:
    odd = '/t/two words "and" \\more\x7f é'
    parsed = parse([("agent.toml", configuration(replace(WIRING, keys=odd)).encode())], registry())
    assert parsed.config is not None
    assert parsed.config.keys_folder == odd


def test_two_units_share_one_pair() -> None:
    parsed = parse([("agent.toml", configuration(WIRING).encode())], registry())
    ports = {one.sensor.name: one.port for one in parsed.fitted}
    assert ports["listrik"] == ports["co2"]
