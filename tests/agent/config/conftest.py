# ruff: noqa: ARG002 - the fakes have the shape of a driver and use none of it
"""A small registry that knows six made-up drivers, one of each shape the check must tell apart."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from agent.config.load import Parsed, parse
from drivers.driver import Channel, DriverInfo, Event, Line, Option, OptionValue
from drivers.errors import AddedError, OptionError, ProfileError, UnknownDriver

_UNIT = Option(name="unit", kind="integer", low=1, high=254, default=1, doc="address on the bus")
_INFOS = (
    DriverInfo(
        name="dust",
        title="Dust sensor",
        family="dust",
        models=("dust2",),
        line=Line(),
        channels=(
            Channel(name="pm2_5", unit="ug/m3", low=0, high=999),
            Channel(name="pm10", unit="ug/m3", low=0, high=999),
        ),
        min_every_s=1.0,
    ),
    DriverInfo(
        name="sonar",
        title="Water level",
        family="sonar",
        line=Line(),
        channels=(
            Channel(name="level", unit="m", low=-1, high=10),
            Channel(name="state", unit="1", kind="state"),
            Channel(name="note", unit="1", kind="text"),
            Channel(name="air", unit="%RH"),
            Channel(name="depth", unit="m", low=0),
        ),
        options=(
            Option(
                name="mount_height",
                kind="quantity",
                unit="m",
                low=0.1,
                high=20,
                required=True,
                doc="h",
                example='"4 m"',
            ),
            Option(name="counts", kind="text", choices=("mm", "cm")),
            Option(name="label", kind="text"),
            Option(name="tries", kind="integer", low=1, high=9),
            Option(name="factor", kind="number", low=0.5),
            Option(name="share", kind="number", high=1),
            Option(name="fast", kind="boolean"),
            Option(name="skip", kind="list"),
            Option(name="map", kind="table"),
        ),
    ),
    DriverInfo(
        name="meter",
        title="Power meter",
        family="modbus",
        line=Line(),
        mode="poll",
        shares_bus=True,
        channels=(Channel(name="voltage", unit="V", low=80, high=260),),
        options=(_UNIT,),
        every_s=2.0,
        min_every_s=0.5,
    ),
    DriverInfo(
        name="gas",
        title="CO2 sensor",
        family="modbus",
        line=Line(),
        mode="poll",
        shares_bus=True,
        channels=(Channel(name="co2", unit="ppm"),),
        options=(replace(_UNIT, default=254),),
    ),
    DriverInfo(
        name="words",
        title="Lines of text",
        family="words",
        line=Line(),
        options=(Option(name="fields", kind="list", required=True, doc="names", example='["a"]'),),
    ),
    DriverInfo(name="inner", title="A probe", family="inner", channels=(Channel(name="beat", unit="1"),)),
)


class MadeDriver:
    """Knows what it is; nothing here feeds it."""

    def __init__(self, info: DriverInfo, sensor: str) -> None:
        self.info = info
        self.sensor = sensor

    def start(self, now_ns: int) -> list[Event]:
        return []

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        return []

    def tick(self, now_ns: int) -> list[Event]:
        return []

    def deadline(self) -> int | None:
        return None

    def lost(self, now_ns: int) -> list[Event]:
        return []


class SmallRegistry:
    """Answers as the real one does, for six drivers."""

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(info.name for info in _INFOS))

    def package_of(self, name: str) -> str:
        return "package dust-works 1.0" if name == "foreign" else ""

    def info(self, name: str) -> DriverInfo:
        if name == "foreign":
            raise AddedError("others than root may write /d/foreign (mode 777)", "chmod -R go-w /d/foreign")
        if name == "broken":
            raise ProfileError("register voltage: expected 239.3 got 2393")
        for info in _INFOS:
            if name in {info.name, *info.models}:
                return info
        raise UnknownDriver(name, ("dust",) if name == "dusst" else ())

    def make(
        self, name: str, sensor: str, options: Mapping[str, OptionValue], *, every_s: float | None = None
    ) -> MadeDriver:
        info = self.info(name)
        fields = options.get("fields")
        if isinstance(fields, list):
            if "torn" in fields:
                raise ProfileError("torn map")
            for index, field in enumerate(fields):
                if not isinstance(field, str):
                    raise OptionError(f"fields.{index}", "a field is text")
                if field == "whole":
                    raise OptionError("other.place", "is missing")
            info = replace(info, channels=tuple(Channel(name=str(field), unit="m") for field in fields))
        return MadeDriver(info, sensor)


BASE = b'node = "n1"\ncity = "c1"\n[center]\nurl = "mqtts://center:8883"\n'

Check = Callable[..., Parsed]


@pytest.fixture
def check() -> Check:
    """Parse texts as files of conf.d beside a main file that has only what a node must have."""

    def check_parts(*texts: str) -> Parsed:
        parts = [(f"part{number}.toml", text.encode()) for number, text in enumerate(texts, 1)]
        return parse([("agent.toml", BASE), *parts], SmallRegistry())

    return check_parts


@pytest.fixture
def check_alone() -> Check:
    """Parse texts as all there is."""

    def check_files(*texts: str) -> Parsed:
        return parse([(f"file{number}.toml", text.encode()) for number, text in enumerate(texts, 1)], SmallRegistry())

    return check_files
