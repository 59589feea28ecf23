"""Write the table of all drivers into docs/drivers.md, from what they say of themselves and the traps known of each."""

import re
from pathlib import Path

from drivers.driver import DriverInfo
from drivers.io.catalog import registry
from drivers.io.vendor_folder import Place

PAGE = Path(__file__).parents[2] / "docs" / "drivers.md"
NOWHERE = Place(path=Path("/proc/no-added-drivers"), owners=frozenset({0}))
MARKS = ("<!-- drivers: begin -->\n", "<!-- drivers: end -->\n")
_MOST = 8  # names of a row

TRAPS = {
    "cctalk": "read only: no payout, no inhibit; one wire, so each byte comes back as an echo",
    "dsmr": "versions 2 and 3 have no checksum; the request line must be high; gas moves once an hour",
    "escpos": "a silent printer may be offline; a wrong speed looks like a status with wrong fixed bits",
    "iec62056": "opens at 300 7E1; its check is an XOR, so a second read-out confirms",
    "line": "without a checksum a value needs a second line; the first line heard may be a tail",
    "maxbotix": "no checksum; the RS-232 variant is garbage on a TTL input; the banner holds a line with R",
    "mhz19": "3 minutes of warm-up; self-calibration takes the lowest value for 400 ppm: wrong in closed rooms",
    "modbus": "two units leave the factory with address 1; manuals count registers from 1 or 40001, the wire from 0",
    "modem_at": "99 and 255 mean unknown; ModemManager takes ports; unasked lines come between",
    "nmea": "status V carries old coordinates; fields are empty after a cold start",
    "plantower": "the frame does not tell the model; the first frames after waking hold no counts",
    "rg15": "inch or mm by a switch; a dirty lens reads as no rain",
    "sdi12": "the bus is 1200 7E1 behind the adapter; only commands with a checksum are asked",
    "sds011": "the laser lives about 8000 hours; above 70 %RH it reads too high; 30 s of warm-up",
    "ultrasonic": "mm or cm by model; an 8-bit sum passes noise, so two frames must agree; no echo is no zero",
    "ups_megatec": "no checksum; battery volts are per cell or per pack; asked every 2 s at most",
    "ups_voltronic": "CRC bytes that would be control characters are raised by one",
    "vedirect": "asynchronous HEX lines fall into text blocks; the checksum byte may be any, line ends too",
    "windsonic": "direction is missing in calm air; units are those set in the instrument",
    "wxt": "no checksum in plain ASCII; units are those set in the instrument",
}


def table() -> str:
    """Return one row for each family and profile that is shipped."""
    drivers = registry(NOWHERE)
    infos = [drivers.info(name) for name in drivers.names()]
    rows = ["| driver | models | line | values | check | traps |", "| --- | --- | --- | --- | --- | --- |"]
    rows += [_row(info) for info in sorted(infos, key=lambda info: (info.family == "modbus", info.name))]
    return "\n".join(rows) + "\n"


def _row(info: DriverInfo) -> str:
    values = [f"{channel.name} {channel.unit}" for channel in info.channels] or ["what the options name"]
    asked = "asked" if info.mode == "poll" else "talks"
    check = info.integrity + (f", {info.confirm} frames" if info.confirm > 1 else "")
    traps = TRAPS[info.family] if info.name == info.family else f"a profile: {info.source}"
    cells = (f"`{info.name}`", _short(info.models), f"{info.line}, {asked}", _short(values), check, traps)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _short(names: tuple[str, ...] | list[str]) -> str:
    more = f", {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more


def with_table(page: str) -> str:
    """Return the page with the table of today."""
    begin, end = map(re.escape, MARKS)
    return re.sub(f"{begin}.*?{end}", lambda _: MARKS[0] + "\n" + table() + "\n" + MARKS[1], page, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
