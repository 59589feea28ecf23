"""Our reading of P1 telegrams beside that of dsmr_parser, which somebody else wrote."""

import json
import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from dsmr_parser import telegram_specifications as specifications  # type: ignore[import-untyped]  # ships no types
from dsmr_parser.exceptions import InvalidChecksumError  # type: ignore[import-untyped]
from dsmr_parser.parsers import TelegramParser  # type: ignore[import-untyped]

from drivers.serial.dsmr import decode

_FILE = Path(__file__).parents[2] / "vectors" / "serial-frames.json"
V4, V5, IRISH, V3 = (
    bytes.fromhex(one["bytes_hex"]) for one in json.loads(_FILE.read_text("utf-8")) if one["device"] == "dsmr_p1"
)
_TELEGRAMS = 150  # of each version

_NAMES = {
    "ELECTRICITY_USED_TARIFF_1": "energy_import_t1",
    "ELECTRICITY_USED_TARIFF_2": "energy_import_t2",
    "ELECTRICITY_DELIVERED_TARIFF_1": "energy_export_t1",
    "ELECTRICITY_DELIVERED_TARIFF_2": "energy_export_t2",
    "ELECTRICITY_IMPORTED_TOTAL": "energy_import",
    "ELECTRICITY_EXPORTED_TOTAL": "energy_export",
    "CURRENT_ELECTRICITY_USAGE": "power_import",
    "CURRENT_ELECTRICITY_DELIVERY": "power_export",
    **{f"INSTANTANEOUS_VOLTAGE_L{phase}": f"voltage_l{phase}" for phase in (1, 2, 3)},
    **{f"INSTANTANEOUS_CURRENT_L{phase}": f"current_l{phase}" for phase in (1, 2, 3)},
    **{f"INSTANTANEOUS_ACTIVE_POWER_L{phase}_POSITIVE": f"power_import_l{phase}" for phase in (1, 2, 3)},
    **{f"INSTANTANEOUS_ACTIVE_POWER_L{phase}_NEGATIVE": f"power_export_l{phase}" for phase in (1, 2, 3)},
}
_READINGS = ("HOURLY_GAS_METER_READING", "GAS_METER_READING", "MBUS_METER_READING")
_KINDS = {3: "gas_total", 7: "water_total"}
_SCALES = {"kWh": 1000, "Wh": 1, "kW": 1000, "W": 1, "V": 1, "A": 1, "m3": 1}


def ours(telegram: bytes) -> dict[str, object]:
    return {one.channel: one.value for one in decode("dsmr", {"more": True}, [telegram]).readings}


def theirs(telegram: bytes, version: str) -> dict[str, float]:
    found = TelegramParser(getattr(specifications, version)).parse(telegram.decode("latin-1"))
    values: dict[str, float] = {}
    for theirs_name, name in _NAMES.items():
        one = getattr(found, theirs_name, None)
        if one is not None and one.unit in _SCALES:
            values[name] = float(Decimal(str(one.value)) * _SCALES[one.unit])
    for device in getattr(found, "MBUS_DEVICES", ()):
        said = {name: one.value for name, one in device}
        kind = said.get("DEVICE_TYPE", said.get("MBUS_DEVICE_TYPE"))
        amount = next((said[name] for name in _READINGS if name in said), None)
        if kind is not None and amount is not None:
            values[_KINDS[int(kind)]] = float(amount)
    return values


def _crc(data: bytes) -> int:
    """CRC-16/ARC, bit by bit."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


def _telegram(lines: Sequence[str], *, checked: bool) -> bytes:
    text = "\r\n".join(("/ISk5\\2MT382-1000", "", *lines, "!")).encode()
    return text + (f"{_crc(text):04X}" if checked else "").encode() + b"\r\n"


def _figure(chance: random.Random, whole: int, decimals: int, unit: str) -> str:
    number = chance.choice((0, 10 ** (whole + decimals) - 1, chance.randrange(10 ** (whole + decimals))))
    text = f"{number:0{whole + decimals}d}"
    return f"({text[:whole]}{'.' if decimals else ''}{text[whole:]}*{unit})"


def _registers(chance: random.Random, whole: int, codes: Sequence[str], unit: str = "kWh") -> list[str]:
    return [f"1-0:{code}{_figure(chance, whole, 3, unit)}" for code in codes]


_TARIFFS = ("1.8.1", "1.8.2", "2.8.1", "2.8.2")
_OLD_GAS = ("0-1:24.1.0(3)", "0-1:96.1.0(000000000000)")


def _old(chance: random.Random) -> list[str]:
    return [
        "0-0:96.1.1(4B384547303034303436333935353037)",
        *_registers(chance, 5, _TARIFFS),
        "0-0:96.14.0(0002)",
        f"1-0:1.7.0{_figure(chance, 4, 2, 'kW')}",
        f"1-0:2.7.0{_figure(chance, 4, 2, 'kW')}",
        "0-0:17.0.0(0999.00*kW)",
        "0-0:96.3.10(1)",
        "0-0:96.13.1()",
        "0-0:96.13.0()",
        *_OLD_GAS,
        "0-1:24.3.0(161107190000)(00)(60)(1)(0-1:24.2.1)(m3)",
        f"({chance.randrange(10**8) / 1000:09.3f})",
        "0-1:24.4.0(1)",
    ]


def _phases(chance: random.Random, *, volts: bool) -> list[str]:
    found = []
    for at in (0, 20, 40):
        if volts:
            found.append(f"1-0:{32 + at}.7.0({chance.randrange(3000) / 10:05.1f}*V)")
        found.append(f"1-0:{31 + at}.7.0{_figure(chance, 3, 0, 'A')}")
        found.append(f"1-0:{21 + at}.7.0{_figure(chance, 2, 3, 'kW')}")
        found.append(f"1-0:{22 + at}.7.0{_figure(chance, 2, 3, 'kW')}")
    return found


def _new(chance: random.Random, version: str, *, volts: bool = True) -> list[str]:
    return [
        f"1-3:0.2.8({version})",
        "0-0:1.0.0(170102192002W)",
        "0-0:96.1.1(4B384547303034303436333935353037)",
        *_registers(chance, 6, _TARIFFS),
        "0-0:96.14.0(0002)",
        f"1-0:1.7.0{_figure(chance, 2, 3, 'kW')}",
        f"1-0:2.7.0{_figure(chance, 2, 3, 'kW')}",
        "0-0:96.7.21(00015)",
        "0-0:96.7.9(00007)",
        "1-0:99.97.0(0)(0-0:96.7.19)",
        "1-0:32.32.0(00000)",
        "0-0:96.13.0()",
        *_phases(chance, volts=volts),
        "0-1:24.1.0(003)",
        "0-1:96.1.0(3232323241424344313233343536373839)",
        f"0-1:24.2.1(170102161005W)({chance.randrange(10**8) / 1000:09.3f}*m3)",
    ]


def _belgian(chance: random.Random) -> list[str]:
    return [
        "0-0:96.1.4(50217)",
        "0-0:96.1.1(3153414733313031303231363035)",
        "0-0:1.0.0(200512135409S)",
        *_registers(chance, 6, _TARIFFS),
        "0-0:96.14.0(0001)",
        f"1-0:1.7.0{_figure(chance, 2, 3, 'kW')}",
        f"1-0:2.7.0{_figure(chance, 2, 3, 'kW')}",
        *_phases(chance, volts=True),
        "0-0:96.3.10(1)",
        "0-0:17.0.0(999.9*kW)",
        "0-0:96.13.0()",
        "0-1:24.1.0(003)",
        "0-1:96.1.1(37464C4F32313139303333373333)",
        f"0-1:24.2.3(200512134558S)({chance.randrange(10**8) / 1000:09.3f}*m3)",
        "0-2:24.1.0(007)",
        "0-2:96.1.1(3853414731323334353637383930)",
        f"0-2:24.2.1(200512134558S)({chance.randrange(10**8) / 1000:09.3f}*m3)",
    ]


def _luxembourgish(chance: random.Random) -> list[str]:
    return [
        "1-3:0.2.8(42)",
        "0-0:1.0.0(170102192002W)",
        "0-0:42.0.0(53414731303330373030303031303934)",
        *_registers(chance, 6, ("1.8.0", "2.8.0")),
        f"1-0:1.7.0{_figure(chance, 2, 3, 'kW')}",
        f"1-0:2.7.0{_figure(chance, 2, 3, 'kW')}",
        *_phases(chance, volts=True),
        "0-0:96.13.0()",
    ]


_MAKERS = {
    "V2_2": lambda chance: _telegram(_old(chance), checked=False),
    "V3": lambda chance: _telegram(_old(chance), checked=False),
    "V4": lambda chance: _telegram(_new(chance, "42", volts=False), checked=True),
    "V5": lambda chance: _telegram(_new(chance, "50"), checked=True),
    "BELGIUM_FLUVIUS": lambda chance: _telegram(_belgian(chance), checked=True),
    "LUXEMBOURG_SMARTY": lambda chance: _telegram(_luxembourgish(chance), checked=True),
}


def _agree(telegram: bytes, version: str, least: int) -> None:
    found: Mapping[str, object] = ours(telegram)
    wanted = theirs(telegram, version)
    assert len(wanted) >= least
    assert {name: found.get(name) for name in wanted} == pytest.approx(wanted, abs=1e-6), telegram
    assert set(found) == set(wanted), telegram


@pytest.mark.parametrize("version", _MAKERS)
def test_many_telegrams_of_each_version_mean_the_same_to_both(version: str) -> None:
    chance = random.Random(version)  # noqa: S311 - the same on each run
    for _ in range(_TELEGRAMS):
        _agree(_MAKERS[version](chance), version, 4)


@pytest.mark.parametrize(("telegram", "version"), [(V3, "V3"), (V4, "V4"), (V5, "V5")], ids=["V3", "V4", "V5"])
def test_the_published_telegrams_mean_the_same_to_both(telegram: bytes, version: str) -> None:
    _agree(telegram, version, 6)


@pytest.mark.parametrize("version", ["V4", "V5", "BELGIUM_FLUVIUS", "LUXEMBOURG_SMARTY"])
def test_both_refuse_a_telegram_with_a_flipped_bit(version: str) -> None:
    chance = random.Random(version)  # noqa: S311 - the same on each run
    for _ in range(_TELEGRAMS):
        telegram = bytearray(_MAKERS[version](chance))
        place = chance.randrange(22, len(telegram) - 10)
        telegram[place] ^= 1 << chance.randrange(7)
        with pytest.raises(InvalidChecksumError):
            theirs(bytes(telegram), version)
        assert ours(bytes(telegram)) == {}
