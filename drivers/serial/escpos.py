"""Receipt printers that speak ESC/POS: four status questions, one byte each. No I/O; it only asks.

Source: Epson, TM-U220 technical reference, DLE EOT n; Bixolon SRP-350 command manual, the same. Never sent: DLE DC4
(drawer, buzzer), DLE ENQ (recovery), anything that prints.
"""

from collections.abc import Mapping, Sequence

from drivers.driver import Channel, DriverInfo, Line, OptionValue, Verdict
from drivers.errors import OptionError
from drivers.framing import Fault, FixedFrame
from drivers.serial.asked import Asked
from drivers.serial.decoded import Decoded
from drivers.serial.options import Options, paced
from drivers.serial.polled import Question
from drivers.serial.stream import Said, Value

_ASK = b"\x10\x04"  # DLE EOT, then which status
_FIXED_MASK, _FIXED = 0x93, 0x12  # bits 0 and 7 are off, 1 and 4 on, in each status byte
_MARKS = tuple(bytes((byte,)) for byte in range(256) if byte & _FIXED_MASK == _FIXED)
_PAPER = 4
_NEAR_END, _END = 0x0C, 0x60  # two bits each, both on or both off
_BITS = {
    1: (("drawer_signal", 2), ("offline", 3)),
    2: (("cover_open", 2), ("paper_stop", 5), ("error", 6)),
    3: (("recoverable_error", 2), ("cutter_error", 3), ("unrecoverable_error", 5), ("auto_recoverable_error", 6)),
}

INFO = DriverInfo(
    name="escpos",
    title="receipt printer with ESC/POS, its status",
    family="escpos",
    models=("escpos_status",),
    line=Line(baud=9600),
    mode="poll",
    channels=(
        Channel(name="paper", unit="1", kind="text", doc="adequate, near_end or out"),
        Channel(name="offline", unit="1", kind="state", doc="it does not print: cover, paper, error or its own button"),
        Channel(name="drawer_signal", unit="1", kind="state", doc="pin 3 of the drawer connector is high"),
        Channel(name="cover_open", unit="1", kind="state"),
        Channel(name="paper_stop", unit="1", kind="state", doc="printing has stopped because the paper has ended"),
        Channel(name="error", unit="1", kind="state", doc="some error; the next four say which"),
        Channel(name="recoverable_error", unit="1", kind="state", doc="a person can clear it, such as a jam"),
        Channel(name="cutter_error", unit="1", kind="state", doc="the cutter is stuck"),
        Channel(name="unrecoverable_error", unit="1", kind="state", doc="the printer must be repaired"),
        Channel(name="auto_recoverable_error", unit="1", kind="state", doc="it will go by itself, such as a hot head"),
    ),
    every_s=5.0,
    min_every_s=1.0,
    stale_after_s=30.0,
    integrity="none",
    confirm=2,
    source="Epson TM-U220 technical reference, DLE EOT n; Bixolon SRP-350 command manual",
)


class EscPos(Asked):
    """Driver of one printer. Its bytes do not say which question they answer, so the question is kept."""

    def _match(self, question: Question, data: bytes, now_ns: int) -> Verdict | None:
        number = question.request[2]
        self._meaning = lambda frame: _said(number, frame[0])
        return super()._match(question, data, now_ns)


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> EscPos:
    """Make the driver of one printer.

    Raises:
        OptionError: An option cannot be used.
    """
    del name  # all models speak alike
    Options(INFO, options)
    return _make(sensor, every_s, _PAPER)


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what status bytes mean.

    A frame that begins with its question (10 04 n) is read as the answer to it, any other as the paper's status or what
    the option ``request``, 1 to 4, names.

    Raises:
        OptionError: An option cannot be used.
    """
    plain = {key: value for key, value in options.items() if key != "request"}
    Options(INFO, plain)
    asked = str(options.get("request", _PAPER))
    if asked not in ("1", "2", "3", "4"):
        raise OptionError("request", f"{asked!r} is not 1 printer, 2 offline cause, 3 error cause or 4 paper")
    found: list[Decoded] = []
    for frame in frames:
        with_question = frame[:2] == _ASK and frame[2:3] in (b"\x01", b"\x02", b"\x03", b"\x04")
        number = frame[2] if with_question else int(asked)
        found.append(_make(name, None, number).decode([frame[3:] if with_question else frame]))
    return Decoded(
        readings=tuple(reading for one in found for reading in one.readings),
        reasons=tuple(reason for one in found for reason in one.reasons),
    )


def _make(sensor: str, every_s: float | None, number: int) -> EscPos:
    return EscPos(
        sensor,
        info=paced(INFO, every_s),
        codec=lambda: FixedFrame(_MARKS, 1, _check),
        meaning=lambda frame: _said(number, frame[0]),
        questions=[
            Question(request=_ASK + bytes((asked,)), answered_by=lambda _: True, reply_bytes=1)
            for asked in (_PAPER, *_BITS)  # the paper first: every clone knows it
        ],
        timeout_s=0.5,
    )


def _check(frame: bytes) -> Fault | None:
    del frame  # its mark is all there is to check
    return None


def _said(number: int, status: int) -> Said:
    if number != _PAPER:
        values = [Value(channel=name, value=bool(status >> bit & 1)) for name, bit in _BITS[number]]
        return Said(values=tuple(values), settles=False)
    near_end, end = status & _NEAR_END, status & _END
    if near_end not in (0, _NEAR_END) or end not in (0, _END):
        return Said(
            detail=f"status {status:02x} contradicts itself: the two bits of a paper sensor differ", settles=False
        )
    paper = "out" if end else "near_end" if near_end else "adequate"
    return Said(values=(Value(channel="paper", value=paper),), settles=False)
