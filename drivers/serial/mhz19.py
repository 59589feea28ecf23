"""Winsen MH-Z19 carbon dioxide sensors (B, C, D): question and answer. No I/O; it only reads, never calibrates.

Source: Winsen MH-Z19B user's manual V1.0, "Serial port UART": command 86h and its checksum, ranges, preheat time.
WifWaf/MH-Z19 for what stands in no manual: command 7Dh (``getABC``), byte 4 of the answer (``getTemperature``), and the
answer to 85h (``getCO2``), which is understood but never asked. ESPEasy P049 and Tasmota xsns_15 for the last two bytes
of the answer, which mark a boot.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from drivers.driver import Channel, DriverInfo, Line, Option, OptionValue
from drivers.framing import Fault, FixedFrame, sum8
from drivers.reading import Quality
from drivers.serial.decoded import Decoded
from drivers.serial.options import Options, paced
from drivers.serial.polled import Polled, Question
from drivers.serial.stream import Said, Value

_HEAD = 0xFF
_UNIT = 0x01
_READ = 0x86
_ABC = 0x7D  # automatic baseline correction: reads whether it is on, changes nothing
_UNLIMITED = 0x85  # what WifWaf/MH-Z19 asks by default: the value before it is cut to the range, in bytes 4 and 5
_COMMANDS = (0x78, 0x79, 0x84, 0x87, 0x88, 0x99, 0x9B, 0x9C, 0xA0, 0xA2, 0xA3)  # of others: no measurement
_FRAME_BYTES = 9
_ABC_AT = 7
_TEMPERATURE_AT = 4
_TEMPERATURE_ZERO = 40
_ABC_EVERY_S = 3600.0
_BOOT_MARK = (15000).to_bytes(2, "big")
_BOOT_PPM = (400, 410, 5000)  # what it says after power-on until it measures
_NEAR_PPM = 50  # a boot value this close to the one before is a measurement

INFO = DriverInfo(
    name="mhz19",
    title="Winsen MH-Z19 carbon dioxide sensor (B, C, D)",
    family="mhz19",
    models=("mhz19b", "mhz19c", "mhz19d"),
    line=Line(baud=9600),
    mode="poll",
    channels=(
        Channel(
            name="co2",
            unit="ppm",
            low=350.0,
            high=5000.0,
            max_step_per_s=20.0,
            zero="suspect",
            stuck_after_s=6 * 3600.0,
            doc="below 350 no air has: the baseline has drifted (abc in a closed or busy place)",
        ),
        Channel(
            name="abc",
            unit="1",
            kind="state",
            doc="automatic baseline correction is on: it takes each day's lowest value for 400 ppm",
        ),
        Channel(
            name="temperature_undocumented",
            unit="Cel",
            low=-40.0,
            high=85.0,
            doc="inside the case, some degrees too warm; only with the option temperature",
        ),
    ),
    options=(
        Option(
            name="range",
            kind="quantity",
            unit="ppm",
            low=1000.0,
            high=10000.0,
            default="5000 ppm",
            doc="top of the range the unit is set to; a value there is flagged saturated",
            example='"2000 ppm"',
        ),
        Option(
            name="temperature",
            kind="boolean",
            default=False,
            doc="also deliver the temperature that no manual promises",
            example="true",
        ),
    ),
    every_s=5.0,
    min_every_s=2.0,
    warmup_s=180.0,
    stale_after_s=60.0,
    integrity="sum8",
    confirm=2,
    source="Winsen MH-Z19B user's manual V1.0; WifWaf/MH-Z19 for what it leaves out",
)


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Polled:
    """Make the driver of one sensor.

    Raises:
        OptionError: An option cannot be used.
    """
    del name  # all models speak alike
    given = Options(INFO, options)
    return _make(sensor, given, every_s, _Meaning(given).of)


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what frames mean, each as if it were the first, the undocumented temperature included.

    Raises:
        OptionError: An option cannot be used.
    """
    given = Options(INFO, {**options, "temperature": True})
    return _make(name, given, None, lambda frame: _Meaning(given).of(frame)).decode(frames)


def _make(sensor: str, given: Options, every_s: float | None, meaning: Callable[[bytes], Said]) -> Polled:
    co2, abc, temperature = INFO.channels
    channels = (replace(co2, high=given.quantity("range")), abc, *((temperature,) if given.flag("temperature") else ()))
    info = paced(replace(INFO, channels=channels), every_s)
    return Polled(
        sensor,
        info=info,
        codec=partial(
            FixedFrame,
            tuple(bytes((_HEAD, command)) for command in (_READ, _ABC, _UNLIMITED, *_COMMANDS)),
            _FRAME_BYTES,
            _check,
        ),
        meaning=meaning,
        questions=(_question(_READ), _question(_ABC, max(1, round(_ABC_EVERY_S / info.every_s)))),
    )


def _question(command: int, polls: int = 1) -> Question:
    return Question(
        request=sealed(bytes((_HEAD, _UNIT, command)) + bytes(5)),
        answered_by=lambda frame: frame[1] == command,
        reply_bytes=_FRAME_BYTES,
        polls=polls,
    )


def sealed(body: bytes) -> bytes:
    """Eight bytes and their checksum: what the sum of all but the first lacks to 0 modulo 256."""
    return body + bytes((-sum8(body[1:]) & 0xFF,))


def _check(frame: bytes) -> Fault | None:
    right = sealed(frame[:-1])[-1]
    if right != frame[-1]:
        return Fault(reason="checksum", detail=f"expected {right:02x}, got {frame[-1]:02x}")
    return None


class _Meaning:
    """What the frames of one unit say; remembers whether it has measured yet."""

    def __init__(self, given: Options) -> None:
        self._top_ppm = given.quantity("range") or 0
        self._temperature = given.flag("temperature")
        self._measured_ppm: int | None = None

    def of(self, frame: bytes) -> Said:
        if frame[1] == _ABC:
            return Said(values=(Value(channel="abc", value=frame[_ABC_AT] != 0),), settles=False)
        if frame[1] in _COMMANDS:
            return Said(settles=False, detail=f"reply to command {frame[1]:02x}, no measurement")
        if not any(frame[2:8]):
            self._measured_ppm = None
            return Said(trouble="warming_up", detail="warming up: the answer is all zero")
        limited = frame[1] == _READ
        ppm = int.from_bytes(frame[2:4] if limited else frame[4:6], "big")
        flags = {Quality.SATURATED} if limited and ppm >= self._top_ppm else set[Quality]()
        if frame[6:8] == _BOOT_MARK or self._is_boot_value(ppm):
            flags.add(Quality.WARMING_UP)
            self._measured_ppm = None
        else:
            self._measured_ppm = ppm
        values = [Value(channel="co2", value=ppm, quality=frozenset(flags))]
        if limited and self._temperature and frame[_TEMPERATURE_AT]:  # the first generation leaves it 0
            values.append(Value(channel="temperature_undocumented", value=frame[_TEMPERATURE_AT] - _TEMPERATURE_ZERO))
        return Said(values=tuple(values))

    def _is_boot_value(self, ppm: int) -> bool:
        """Whether a value is what a unit says that has just been powered: from nothing, or out of the blue."""
        return ppm in _BOOT_PPM and (self._measured_ppm is None or abs(ppm - self._measured_ppm) > _NEAR_PPM)
