from collections.abc import Callable, Iterator

import pytest

from tests.hotspot.box import Box
from tests.hotspot.city import City
from tests.node.system_bus import daemon, systemd

_UNITS: dict[str, dict[str, str | int]] = {
    name: {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "NRestarts": 0}
    for name in ("hostapd.service", "dnsmasq.service")
}


NOT_REPORTED = {
    "channel-busy",
    "channel-noisy",
    "clients-ghosts",
    "clients-losses",
    "clients-retries",
    "clients-too-many",
    "clients-weak",
    "radius-silent",
    "wan-on-backup",
}
"""Alarms of what only a radio tells, and of what this city has not."""


_MEASURED = pytest.StashKey[list[str]]()


@pytest.fixture
def show(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Give a function for what was measured: it is printed at the end of the run."""
    return request.config.stash.setdefault(_MEASURED, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(_MEASURED, [])
    if lines:
        terminalreporter.section("what watching a hotspot costs")
        terminalreporter.write_line("\n".join(lines))


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """Build the city once; each test mends what it broke."""
    made = City(tmp_path_factory.mktemp("city"))
    try:
        made.start_bus()
        with daemon(made.bus, "org.freedesktop.systemd1", systemd(_UNITS)):
            made.start()
            yield made
    finally:
        made.close()


@pytest.fixture
def box(city: City) -> Iterator[Box]:
    """Start a node in the city, where all is well, and let it live until it knows that."""
    made = Box(city)
    try:
        settled = made.live(minutes=45)
        assert all(told.endswith(" clear") for told in settled.told), settled
        assert settled.standing.keys() <= NOT_REPORTED, settled
        yield made
    finally:
        made.close()
        city.mend()
