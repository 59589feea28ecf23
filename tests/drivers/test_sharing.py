from dataclasses import replace

from drivers.driver import Line
from drivers.io.catalog import registry
from drivers.sharing import attached, clashes

DRIVERS = registry()


def test_who_cannot_share_a_port_is_told_why() -> None:
    air, water = DRIVERS.info("sds011"), DRIVERS.info("a02yyuw")
    meter, co2 = DRIVERS.info("pzem004t"), DRIVERS.info("senseair_s8")
    one = attached("mains", meter, {})
    assert clashes([]) is None
    assert clashes([attached("air", air, {})]) is None
    assert clashes([attached("co2", co2, {})]) is None
    assert clashes([one, attached("second", meter, {"unit": 2})]) is None
    assert "alone" in str(clashes([attached("air", air, {}), attached("water", water, {})]))
    assert "alone" in str(clashes([one, attached("air", air, {})]))
    assert "unit 1 is both mains and second" in str(clashes([one, attached("second", meter, {})]))
    assert "unit 254" in str(clashes([one, attached("co2", co2, {})]))
    assert "4800" in str(clashes([one, attached("slow", meter, {"unit": 2}, Line(baud=4800))]))
    assert clashes([one, replace(attached("other", meter, {}), address=None)]) is None
