"""Every driver of the registry as a subject of the kit: its vectors, and what it may ever write."""

import json
import time
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import NotRequired, TypedDict

import drivers.serial
from agent.quality import Judge, SensorRules
from drivers.conformance.subject import AGAIN, FULL, QUICK, Scalar, Scale, Subject, Vector
from drivers.driver import Driver, DriverInfo, OptionValue
from drivers.io.catalog import registry
from drivers.serial.rtu import sealed

DRIVERS = registry()
_VECTORS = Path(__file__).parents[2] / "vectors"
_PROFILES = Path(drivers.serial.__path__[0]) / "profiles"

COMMANDS: Mapping[str, tuple[bytes, ...]] = {
    "cctalk": (rb"\x02\x00\x01[\xf4\xf2\xe8\xe5\xe2\xe1\xc2\xc1].", rb"M\x00\x01[\xf4\xf2\xe8\xe5\xe2\xe1\xc2\xc1]."),
    "escpos": (rb"\x10\x04[\x01-\x04]",),
    "iec62056": (rb"/\?!\r\n", rb"\x06000\r\n"),
    "mhz19": (rb"\xff\x01[\x86\x7d]\x00{5}.",),
    "modbus": (rb".[\x01-\x04].{6}",),
    "modem_at": (rb"ATE0\r", rb"AT\+(CSQ|CESQ|CEREG\?|CREG\?|COPS\?)\r"),
    "rg15": (rb"R\n",),
    "sdi12": (rb"[0-9A-Za-z](CC|D\d)!",),
    "ultrasonic": (rb"\x55",),
    "ups_megatec": (rb"Q1\r", rb"QS\r"),
    "ups_voltronic": (rb"(QPIGS|QMOD)..\r",),
}


def _exception(request: bytes) -> bytes:
    return sealed(bytes((request[0], request[1] | 0x80, 2)))


_REFUSALS = {
    "modbus": _exception,
    "modem_at": lambda _: b"\r\nERROR\r\n",
    "ups_voltronic": lambda _: bytes.fromhex("284e414b73730d"),
}
_MODEM = {"rssi": b"AT+CSQ\r", "rsrp": b"AT+CESQ\r", "registered": b"AT+CREG?\r"}
_AMBIGUOUS = {
    "modem_at": "a line names what it says, whichever question it follows",
    "escpos": "a status byte does not say which question it answers",
}
_CHATTY = {"escpos": "one random byte in sixteen has the four fixed bits, which are all the protocol has"}
_REGISTERS = {"senseair_s8": {"co2": 3, "type_id_low": 26}, "sdm230": {"power": 12, "energy_import": 72}}
_WORDS: list[dict[str, OptionValue]] = [{"channel": f"reg{at}", "register": at, "block": "all"} for at in range(10)]


class _Value(TypedDict):
    value: Scalar
    unit: str


class _Frame(TypedDict):
    device: str
    bytes_hex: str
    decoded: dict[str, _Value]
    check: str
    expect: str
    source: str
    derived: NotRequired[bool]
    request_hex: NotRequired[str]
    helps: NotRequired[bool]
    options: NotRequired[dict[str, OptionValue]]
    decode_options: NotRequired[dict[str, OptionValue]]


def _published() -> list[_Frame]:
    files = ("serial-frames.json", "cited-frames.json", "derived-frames.json")
    return [one for name in files for one in json.loads((_VECTORS / name).read_text("utf-8"))]


def _of_profiles() -> list[_Frame]:
    """The vectors that stand in the profiles."""
    found: list[_Frame] = []
    for path in sorted(_PROFILES.glob("*.toml")):
        table = tomllib.loads(path.read_text("utf-8"))
        units = {channel.name: channel.unit for channel in DRIVERS.info(path.stem).channels}
        for one in table.get("vector", ()):
            request = bytes.fromhex(one["request"])
            found.append(
                {
                    "device": path.stem,
                    "bytes_hex": one["reply"].replace(" ", ""),
                    "decoded": {
                        name: {"value": value, "unit": units.get(name, "")} for name, value in one["expect"].items()
                    },
                    "check": "CRC-16/MODBUS",
                    "expect": "reading",
                    "source": table["source"],
                    "derived": True,
                    "request_hex": one["request"].replace(" ", ""),
                    "decode_options": {"request": request.hex(" ")},
                }
            )
    return found


def _vector(frame: _Frame, info: DriverInfo) -> Vector:
    data = bytes.fromhex(frame["bytes_hex"])
    options = {**_options(frame, info, data), **frame.get("options", {})}
    registers = _REGISTERS.get(frame["device"], {})
    decoding = next(({"register": registers[name]} for name in frame["decoded"] if name in registers), {})
    expect = frame["expect"]
    return Vector(
        frame=data,
        expect="reading" if expect == "reading" else "reject" if expect == "reject" else "no_reading",
        values={name: one["value"] for name, one in frame["decoded"].items()} if expect == "reading" else {},
        units={name: one["unit"] for name, one in frame["decoded"].items() if one["unit"]},
        check=frame["check"],
        source=frame["source"],
        derived=frame.get("derived", False),
        request=bytes.fromhex(frame.get("request_hex", "")) or _asked(frame, info),
        helps=frame.get("helps", False),
        options=options,
        decoding=frame.get("decode_options", {}) or decoding,
    )


def _asked(frame: _Frame, info: DriverInfo) -> bytes:
    return next((_MODEM[name] for name in frame["decoded"] if name in _MODEM), b"") if info.name == "modem_at" else b""


def _options(frame: _Frame, info: DriverInfo, data: bytes) -> dict[str, OptionValue]:
    """The section under which a published frame was heard."""
    if info.family == "mhz19":
        return {"temperature": True}
    if info.family != "modbus":
        return {}
    options: dict[str, OptionValue] = {"unit": data[0]}
    if info.name == "modbus":
        count = len(frame["decoded"]) if frame["expect"] == "reading" else 1
        options["registers"] = [{**one, "function": data[1] & 0x7F} for one in _WORDS[:count]]
    return options


def _doubter(info: DriverInfo) -> Judge:
    rules = SensorRules(
        channels={channel.name: channel for channel in info.channels},
        warmup_s=info.warmup_s,
        stale_after_s=info.stale_after_s,
        confirm=info.confirm,
        integrity=info.integrity,
    )
    return Judge({"s": rules})


def _make(name: str, options: Mapping[str, OptionValue]) -> Driver:
    return DRIVERS.make(name, "s", options)


_ASKED_FRAMES = 50_000  # a question has to be played before each
_LONG_FRAMES = {"dsmr": 20_000, "iec62056": 50_000, "vedirect": 100_000}  # telegrams of 100 to 1000 bytes


def _scale(info: DriverInfo, *, first: bool) -> Scale:
    """Each piece of code in full once, and a million frames where frames are short and come by themselves."""
    if info.name != info.family or not first:
        return AGAIN
    frames = _ASKED_FRAMES if info.mode == "poll" else _LONG_FRAMES.get(info.name, FULL.frames)
    return replace(FULL, frames=frames)


@cache
def subjects(*, full: bool = False) -> dict[tuple[str, str], Subject]:
    """By row of the report and name: a family has one for each model with frames, a profile one in all."""
    found: dict[tuple[str, str], list[Vector]] = {}
    for frame in [*_published(), *_of_profiles()]:
        info = DRIVERS.info(frame["device"])
        name = info.name if info.family == "modbus" else frame["device"]
        known = found.setdefault((info.name, name), [])
        vector = _vector(frame, info)
        if all(one.frame != vector.frame or one.values != vector.values for one in known):
            known.append(vector)
    spoken = {
        family: [
            one.frame for (row, _), vectors in found.items() for one in vectors if DRIVERS.info(row).family == family
        ]
        for family in {DRIVERS.info(row).family for row, _ in found}
    }
    return {
        (row, name): Subject(
            name,
            make=partial(_make, name),
            decode=partial(DRIVERS.decode, name),
            vectors=vectors,
            commands=COMMANDS.get(DRIVERS.info(row).family, ()),
            doubter=_doubter,
            refuse=_REFUSALS.get(DRIVERS.info(row).family),
            ambiguous=_AMBIGUOUS.get(row, ""),
            chatty=_CHATTY.get(row, ""),
            strangers=[
                one for family, frames in sorted(spoken.items()) if family != DRIVERS.info(row).family for one in frames
            ],
            scale=_scale(DRIVERS.info(row), first=name == next(one for at, one in found if at == row))
            if full
            else QUICK,
            cpu_s=time.process_time if row == DRIVERS.info(row).family else None,  # profiles share one code
        )
        for (row, name), vectors in found.items()
    }
