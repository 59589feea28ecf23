"""On the shipped drivers: which pairs nothing could tell apart if the names of their ports changed places."""

import pytest

from agent.config.load import Parsed, parse
from drivers.io.catalog import registry

_TOP = """\
node = "dago-01"
city = "bandung"
site = "Simpang Dago"

[center]
url = "mqtts://center.example:8883"
"""


def warnings(*sections: tuple[str, str]) -> list[str]:
    """What is said of sensors of these drivers and ports, besides the poor choice of each name."""
    text = _TOP + "".join(
        f'\n[sensor.s{number}]\ndriver = "{driver}"\n{port}\n' for number, (driver, port) in enumerate(sections)
    )
    parsed: Parsed = parse([("agent.toml", text.encode())], registry())
    assert parsed.errors == 0, parsed.problems
    return [f"{found.severity} {found.what}" for found in parsed.problems if "change places" in found.what]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a02yyuw", 'port = "path:/dev/ttyUSB0"'), ("a02yyuw", 'port = "path:/dev/ttyUSB1"')),
        (("pms5003", 'port = "/dev/ttyUSB0"'), ("pms5003", 'port = "/dev/ttyACM0"')),
        (("pzem004t", 'port = "path:/dev/ttyUSB0"'), ("pzem004t", 'port = "path:/dev/ttyUSB1"')),
        (
            ("sdm230", 'port = "path:/dev/ttyUSB0"\nunit = 3'),
            ("pzem004t", 'port = "path:/dev/ttyUSB1"\nunit = 3'),
        ),
        (("a02yyuw", 'port = "/dev/serial/by-id/usb-1a86"'), ("a02yyuw", 'port = "path:/dev/ttyUSB1"')),
    ],
)
def test_a_pair_that_nothing_could_tell_apart_is_warned_of(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert warnings(one, other) == ["warning nobody could tell if s0 and s1 change places: their units have no number"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("sds011", 'port = "path:/dev/ttyUSB0"'), ("sds011", 'port = "path:/dev/ttyUSB1"')),
        (("cctalk", 'port = "path:/dev/ttyUSB0"'), ("cctalk", 'port = "path:/dev/ttyUSB1"')),
        (("a02yyuw", 'port = "path:/dev/ttyUSB0"'), ("pms5003", 'port = "path:/dev/ttyUSB1"')),
        (("a02yyuw", 'port = "usb:1-1.2"'), ("a02yyuw", 'port = "path:/dev/ttyUSB1"')),
        (("a02yyuw", 'port = "usb:1-1.2"'), ("a02yyuw", 'port = "usb:1-1.3"')),
        (
            ("pzem004t", 'port = "path:/dev/ttyUSB0"\nunit = 3'),
            ("pzem004t", 'port = "path:/dev/ttyUSB1"\nunit = 4'),
        ),
        (
            ("pzem004t", 'port = "path:/dev/ttyUSB0"\nunit = 3'),
            ("sdm120", 'port = "path:/dev/ttyUSB1"\nunit = 3'),  # another speed
        ),
        (
            ("pzem004t", 'port = "path:/dev/ttyUSB0"\nunit = 3'),
            ("pzem004t", 'port = "path:/dev/ttyUSB0"\nunit = 4'),
        ),
    ],
)
def test_a_pair_that_something_tells_apart_is_not(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert warnings(one, other) == []
