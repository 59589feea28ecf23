import pytest

from drivers.hotspot.hostapd_text import Happened, RadiusClient
from drivers.hotspot.radius_counters import RadiusCounters
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import Facts, Moment
from drivers.reading import Reading


def said(probe: RadiusCounters, facts: Facts) -> dict[str, object]:
    events = probe.take(facts, Moment(boot_ns=1))
    return {event.channel: event.value for event in events if isinstance(event, Reading)}


def client(accepts: int, timeouts: int, challenges: int = 0) -> RadiusClient:
    return RadiusClient(access_accepts=accepts, access_rejects=0, access_challenges=challenges, auth_timeouts=timeouts)


def test_a_server_is_silent_from_a_timeout_until_it_answers() -> None:
    probe = RadiusCounters(HotspotSettings())
    steps = [
        (client(1, 5), False),  # what was before the agent is not held against it
        (client(1, 6), True),
        (client(1, 6), True),  # nobody tried to log in since
        (client(1, 8, challenges=1), False),
        (client(1, 9, challenges=1), True),
        (client(0, 0), True),  # hostapd was started again; nothing is known of the server yet
        (client(1, 0), False),
        (client(0, 3), False),  # once more, and what it met before we looked is not held against the server
    ]
    for facts, silent in steps:
        assert said(probe, facts)["radius-silent"] is silent


def test_counters_are_what_hostapd_says() -> None:
    assert said(RadiusCounters(HotspotSettings()), client(7, 5)) == {
        "radius-accepts": 7,
        "radius-timeouts": 5,
        "radius-silent": False,
    }


@pytest.mark.parametrize("facts", [RadiusClient(), Happened()])
def test_a_hotspot_without_a_radius_server_gives_no_readings(facts: Facts) -> None:
    assert said(RadiusCounters(HotspotSettings()), facts) == {}


def test_facts_of_another_probe_are_a_bug() -> None:
    with pytest.raises(TypeError):
        said(RadiusCounters(HotspotSettings()), Facts())
