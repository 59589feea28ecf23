"""The beginning of a package with one driver: what its frames have in common is written, what they mean is not. No I/O.

What it writes fails its test until a person has said what the bytes mean.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import fields

from agent.cli.check_search import Found, find_check
from agent.cli.heard import Frame, Heard
from drivers.driver import Line
from drivers.errors import AddedError
from drivers.serial.options import parse_line

_MOST_HEAD = 4
_GUESSED_HEAD = 2  # of a single frame
_TEXT = frozenset((*range(0x20, 0x7F), 0x09, 0x0A, 0x0D, 0x02, 0x03))

_PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1"
description = "Gardu driver {name}"
requires-python = ">=3.11"

[project.entry-points."gardu.drivers"]
{name} = "{name}:{kind}"
"""

_README = """\
# {name}, a driver for Gardu

1. Say in `{name}/__init__.py` what the bytes of a frame mean (`_meaning`), what guards it (`_check`), and which
   channels there are, with their units and believable ranges.
2. Say in `{name}/vectors.json` what each frame means by the data sheet, not by your code, and where it is from.
3. `gardu driver test .` until all passes. It wants two frames with readings, and one that must give none.
4. `sudo gardu driver add .` on a box, or build a wheel and add that.

What the class may use and must be stands in `docs/drivers.md` of Gardu.
"""

_MODULE = '''\
"""{name}: bytes to readings. No I/O.

Source: {source}
"""

from collections.abc import Mapping

{imports}

{constants}


class {kind}({base}):
    """One unit; {manner}."""

    api = 1
    commands = {commands}
    info = DriverInfo(
        name="{name}",
        title="{name}",
        family="{name}",
        line={line},
        mode="{mode}",
        channels=({channels}),
        every_s=1.0,
        stale_after_s=30.0,
        integrity="{integrity}",
        confirm={confirm},
        source={source_text},
    )

    def __init__(self, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> None:
        Options(self.info, options)
        super().__init__(
            sensor,
            info=paced(self.info, every_s),
            codec={codec},
            meaning=_meaning,{more}
        )


def _check(frame: bytes) -> Fault | None:
{check}


def _meaning(frame: bytes) -> Said:
    # return Said(values=(Value(channel="temperature", value=int.from_bytes(frame[4:6], "big") / 100),))
    raise NotImplementedError("{name}: say in _meaning what the bytes of a frame mean")
'''


def package(name: str, heard: Heard) -> dict[str, str]:
    """Return the files of a package: path and text.

    Raises:
        AddedError: There is no frame.
    """
    if not heard.frames:
        raise AddedError("there is no frame in it", "record longer, or give --frame HEX")
    kind = "".join(part.capitalize() for part in name.split("_"))
    return {
        f"{name}/pyproject.toml": _PROJECT.format(name=name, kind=kind),
        f"{name}/README.md": _README.format(name=name),
        f"{name}/{name}/__init__.py": _module(name, kind, heard),
        f"{name}/{name}/vectors.json": vectors(name, heard),
    }


def _module(name: str, kind: str, heard: Heard) -> str:
    frames = [one.data for one in heard.frames]
    requests = list(dict.fromkeys(one.request for one in heard.frames if one.request))
    lines = all(frame.endswith((b"\r", b"\n")) and _TEXT.issuperset(frame) for frame in frames)
    found = None if lines else find_check(frames)
    codec = "LineFrame(_ENDS, _LONGEST, _check)" if lines else "FixedFrame((_HEAD,), _FRAME_BYTES, _check)"
    return _MODULE.format(
        name=name,
        kind=kind,
        source=heard.source or "name the data sheet and its section here",
        source_text=json.dumps(heard.source, ensure_ascii=False),
        imports=_imports("LineFrame" if lines else "FixedFrame", found, asks=bool(requests)),
        constants=_constants(frames, lines=lines),
        base="Polled" if requests else "Stream",
        manner="it is asked" if requests else "it talks by itself",
        mode="poll" if requests else "stream",
        commands=_tuple([repr(re.escape(request)) for request in requests]),
        line=_line(heard.line),
        channels=_channels(heard.frames),
        integrity=found.integrity if found else "none",
        confirm=1 if found and found.integrity == "crc16" else 2,
        codec=f"lambda: {codec}" if requests else codec,
        more=_more(frames, requests, lines=lines),
        check=_check_text(name, found),
    )


def _imports(codec: str, found: Found | None, *, asks: bool) -> str:
    names = {
        "drivers.driver": {"Channel", "DriverInfo", "Line", "OptionValue"},
        "drivers.framing": {"Fault", codec},
        "drivers.serial.options": {"Options", "paced"},
        "drivers.serial.stream": {"Said", "Value"} if asks else {"Said", "Stream", "Value"},
    }
    if asks:
        names["drivers.serial.polled"] = {"Polled", "Question"}
    if found is not None and found.helper is not None:
        module, function = found.helper
        names.setdefault(module, set()).add(function)
    return "\n".join(f"from {module} import {', '.join(sorted(names[module]))}" for module in sorted(names))


def _constants(frames: Sequence[bytes], *, lines: bool) -> str:
    longest = max(map(len, frames))
    if lines:
        return f"_ENDS = {bytes(sorted({frame[-1] for frame in frames}))!r}\n_LONGEST = {2 * longest}"
    if len({len(frame) for frame in frames}) > 1:
        note = "  # the frames have different lengths: a mapping of head to length may stand here"
    else:
        note = ""
    most = min(_MOST_HEAD if len(set(frames)) > 1 else _GUESSED_HEAD, *map(len, frames))
    alike = (at for at in range(most) if any(frame[at] != frames[0][at] for frame in frames))
    head = frames[0][: max(1, next(alike, most))]
    told = "# What all these frames begin with; the data sheet says how much of it is their head.\n"
    return f'{told}_HEAD = bytes.fromhex("{head.hex()}")\n_FRAME_BYTES = {longest}{note}'


def _more(frames: Sequence[bytes], requests: Sequence[bytes], *, lines: bool) -> str:
    more = ""
    if requests:
        longest = max(map(len, frames))
        asked = [
            f"Question(request={request!r}, answered_by=lambda frame: True, reply_bytes={longest})"
            for request in requests
        ]
        more += f"\n            questions={_tuple(asked)},"
    if lines:
        more += '\n            line_end=b"\\n",'
    return more


def _check_text(name: str, found: Found | None) -> str:
    if found is None:
        why = f"{name}: say in _check what guards a frame; return None where nothing does"
        return f'    raise NotImplementedError("{why}")'
    return f'    if {found.total} != {found.said}:\n        return Fault(reason="checksum")\n    return None'


def _channels(frames: Sequence[Frame]) -> str:
    units = {channel: one["unit"] for frame in frames for channel, one in frame.decoded.items()}
    made = [f'Channel(name="{channel}", unit="{unit}")' for channel, unit in units.items()]
    rows = made or ['Channel(name="temperature", unit="Cel", low=-40.0, high=85.0)']
    return "".join(f"\n            {one}," for one in rows) + "\n        "


def _line(text: str) -> str:
    line, plain = parse_line(text) or Line(), Line()
    odd = [one.name for one in fields(line) if getattr(line, one.name) != getattr(plain, one.name)]
    told = [f'{name}="{line.parity}"' if name == "parity" else f"{name}={getattr(line, name)}" for name in odd]
    return f"Line({', '.join(told or [f'baud={line.baud}'])})"


def _tuple(parts: Sequence[str]) -> str:
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def vectors(name: str, heard: Heard) -> str:
    """Return the frames as ``vectors.json``, and a damaged one that must give nothing."""
    found: list[dict[str, object]] = [_vector(name, one, heard.source) for one in heard.frames]
    first = heard.frames[0]
    end = -2 if first.data.endswith(b"\r\n") else -1
    damaged = bytearray(first.data)
    damaged[end] ^= 1
    reject = _vector(name, Frame(data=bytes(damaged), request=first.request), "made: the first frame, one bit flipped")
    found.append({**reject, "expect": "reject", "derived": True})
    return "[\n" + ",\n".join(f"  {json.dumps(one, ensure_ascii=False)}" for one in found) + "\n]\n"


def _vector(name: str, frame: Frame, source: str) -> dict[str, object]:
    asked = {"request_hex": frame.request.hex()} if frame.request else {}
    return {
        "device": name,
        "bytes_hex": frame.data.hex(),
        **asked,
        "expect": "reading",
        "decoded": dict(frame.decoded),
        "source": source,
    }
