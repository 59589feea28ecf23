"""Frames from which a driver begins: those of a recording, or those a data sheet prints. No I/O."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agent.cli.recording import Capture, Measured, read

_SILENCE_NS = 20_000_000  # longer than between two bytes of a frame, shorter than between two frames
_MOST = 20  # frames
_LINE = "9600 8N1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame.

    Attributes:
        data: The bytes.
        request: The question it answered; empty where the unit talks by itself.
        decoded: What it means, where that is known.
    """

    data: bytes
    request: bytes = b""
    decoded: Mapping[str, Measured] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What is known of a unit.

    Attributes:
        frames: Different ones, at least one.
        line: Serial line.
        source: Where they are from; may be empty.
    """

    frames: tuple[Frame, ...]
    line: str
    source: str


def of_frames(frames: Sequence[bytes], *, line: str | None, source: str, in_pairs: bool) -> Heard:
    """Take frames as they are given; in pairs, each second one answers the one before it."""
    if in_pairs:
        found = [Frame(data=reply, request=asked) for asked, reply in zip(frames[::2], frames[1::2], strict=False)]
    else:
        found = [Frame(data=frame) for frame in frames]
    return Heard(frames=tuple(found), line=line or _LINE, source=source)


def of_capture(text: str, *, line: str | None, source: str) -> Heard:
    """Take the frames of a recording: its vectors where a driver understood it, else what stands between silences.

    Raises:
        CaptureError: It is none.
    """
    capture = read(text)
    head: Mapping[str, object] = json.loads(text.lstrip().partition("\n")[0])
    heard = list(dict.fromkeys((one.data, one.request) for one in _between_silences(capture)))
    asked = dict(heard)
    known = [
        Frame(data=data, request=asked.get(data, b""), decoded=one["decoded"])
        for one in capture.vectors
        if (data := bytes.fromhex(one["bytes_hex"]))
    ]
    frames = known or [Frame(data=data, request=request) for data, request in heard]
    return Heard(
        frames=tuple(frames[:_MOST]),
        line=line or str(head.get("line", _LINE)),
        source=source or str(head.get("source", "")),
    )


def _between_silences(capture: Capture) -> Iterator[Frame]:
    data, request, last_ns = b"", b"", 0
    for part in capture.traffic:
        if data and (part.is_sent or part.at_ns - last_ns >= _SILENCE_NS):
            yield Frame(data=data, request=request)
            data = b""
        if part.is_sent:
            request = part.data
        else:
            data += part.data
            last_ns = part.at_ns
    if data:
        yield Frame(data=data, request=request)
