from agent.sync_probe import SyncProbe
from drivers.driver import Event
from drivers.host.settings import HostSettings
from drivers.host.units import Services
from drivers.reading import Reading


def values(events: list[Event]) -> dict[str, object]:
    return {event.channel: event.value for event in events if isinstance(event, Reading)}


def test_what_waits_and_how_long_the_center_is_silent_is_told() -> None:
    assert values(SyncProbe(lambda: 7, lambda: 12.4).collect(5)) == {"sync-backlog": 7, "sync-age": 12}


def test_a_center_that_never_answered_has_no_age() -> None:
    assert values(SyncProbe(lambda: 0, lambda: None).collect(5)) == {"sync-backlog": 0}


def test_both_are_channels_of_the_services_so_that_alarms_can_watch_them() -> None:
    channels = {channel.name: channel.unit for channel in Services(HostSettings()).info.channels}
    for event in SyncProbe(lambda: 1, lambda: 1.0).collect(5):
        assert isinstance(event, Reading)
        assert channels[event.channel] == event.unit
        assert event.sensor == Services(HostSettings()).sensor
