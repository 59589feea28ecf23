import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import pytest

from drivers.driver import Event
from drivers.host.settings import HostSettings
from drivers.hotspot.settings import HotspotSettings
from drivers.io import dbus
from drivers.io.probes.units import KioskUnitsCollector, ServicesCollector, UnitsCollector
from drivers.kiosk.settings import KioskSettings
from tests.drivers.hotspot.recorded import at, problems, values
from tests.node.asking import Asks
from tests.node.asking import look as ask
from tests.node.system_bus import bus, daemon, systemd

NAME = "org.freedesktop.systemd1"
RUNS: dict[str, str | int] = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "NRestarts": 1}
LOOPS: dict[str, str | int] = RUNS | {"ActiveState": "activating", "SubState": "auto-restart", "NRestarts": 7}
SOCKET: dict[str, str | int] = {"LoadState": "loaded", "ActiveState": "active", "SubState": "listening"}


class Closes(Asks, Protocol):
    """What is needed of a collector here."""

    def close(self) -> None: ...


def look(collector: Closes) -> list[Event]:
    """Return what it finds; each look has a loop of its own, which no connection outlives."""
    try:
        return ask(collector)
    finally:
        collector.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bus(tmp_path_factory.mktemp("bus")) as found:
        yield found


def test_the_hotspots_units_tell_their_states_and_restarts(address: str) -> None:
    settings = HotspotSettings(bus=address, units=("hostapd", "dnsmasq.service", "cups.socket", "absent.service"))
    units = {"hostapd.service": RUNS, "dnsmasq.service": LOOPS, "cups.socket": SOCKET}
    with daemon(address, NAME, systemd(units)):
        events = look(UnitsCollector(settings))
    assert problems(events) == []
    assert values(events) == {
        "unit-hostapd": "active",
        "unit-dnsmasq": "auto-restart",
        "unit-cups-socket": "active",
        "unit-absent": "not-found",
        "restarts": 8,
    }


def test_the_kiosks_units_are_told_under_the_kiosk(address: str) -> None:
    with daemon(address, NAME, systemd({"browser.service": RUNS})):
        collector = KioskUnitsCollector(KioskSettings(bus=address, units=("browser",)))
        assert values(look(collector)) == {"unit-browser": "active", "restarts": 1}
    assert collector.probe.sensor == "kiosk"


def test_failed_units_of_the_box_are_counted(address: str) -> None:
    with daemon(address, NAME, systemd({}, failed=2)):
        assert values(look(ServicesCollector(HostSettings(bus=address)))) == {"failed": 2}


def test_a_systemd_that_does_not_count_restarts_gives_the_states_only(address: str) -> None:
    unit = {key: value for key, value in RUNS.items() if key != "NRestarts"}
    with daemon(address, NAME, systemd({"a.service": unit})):
        assert values(look(UnitsCollector(HotspotSettings(bus=address, units=("a",))))) == {"unit-a": "active"}


def test_a_box_without_systemd_or_without_a_bus_is_told_once(address: str) -> None:
    collector = UnitsCollector(HotspotSettings(bus=address))
    assert problems(look(collector)) == ["units-show: its daemon is not on the bus"]
    assert look(collector) == []
    nowhere = ServicesCollector(HostSettings(bus=f"{address}-not"))
    assert problems(look(nowhere)) == ["services-failed: not there"]


def test_a_systemd_that_hangs_costs_its_own_time_only(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbus, "WITHIN_S", 0.2)
    settings = HotspotSettings(bus=address)
    with daemon(address, NAME, lambda *_: None):
        assert problems(look(UnitsCollector(settings))) == ["units-show: no answer in time"]


def test_an_answer_that_leaves_a_unit_out_is_refused(address: str) -> None:
    with daemon(address, NAME, lambda *_: ("a(ssssssouso)", ([],))):
        told = problems(look(UnitsCollector(replace(HotspotSettings(), bus=address))))
    assert told == ["units-show: it does not know one of the units by its name"]


def test_restarts_are_counted_on_while_the_states_stay_the_same(address: str) -> None:
    units = {"a.service": dict(RUNS), "b.service": dict(RUNS)}
    collector = UnitsCollector(HotspotSettings(bus=address, units=("a", "b")))

    async def rounds() -> list[object]:
        found: list[object] = []
        for restarts in (1, 5, 6):
            units["b.service"]["NRestarts"] = restarts
            found.append(values(await collector.collect(at(0.0)))["restarts"])
        collector.close()
        return found

    with daemon(address, NAME, systemd(units)) as asked:
        assert asyncio.run(rounds()) == [2, 6, 7]
    assert asked.asked.count("ListUnitsByNames") == 3
