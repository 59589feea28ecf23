"""The beginning of a Modbus profile: requests and replies that were heard, each register as a plain number. No I/O."""

import json
from collections.abc import Sequence

from agent.cli.heard import Frame, Heard
from drivers.errors import AddedError
from drivers.serial.profile import parse_request
from drivers.serial.rtu import BIT_FUNCTIONS, Request, answer

_HEAD = """\
# Every register of the recording as a plain number. Say for each what it means: channel, unit, scale, type, range; take
# away what is of no use; then correct what the vectors expect. `gardu driver test {name}.toml` says whether it holds.
name = "{name}"
title = "{name}"
source = {source}
line = "{line}"
unit = {unit}
every = "5 s"
"""
_WORD = 2


def profile(name: str, heard: Heard) -> str:
    """Return the profile as TOML.

    Raises:
        AddedError: No request with its reply is among the frames.
    """
    pairs = [pair for frame in heard.frames if (pair := _pair(frame)) is not None]
    if not pairs:
        what = "there is no Modbus request with its reply in it"
        raise AddedError(what, "record with `--driver modbus`, or give pairs: --frame REQUEST --frame REPLY")
    source = json.dumps(heard.source, ensure_ascii=False)
    parts = [_HEAD.format(name=name, source=source, line=heard.line, unit=pairs[0][0].unit)]
    parts += [_request(asked) for asked in dict.fromkeys(asked for asked, _, _ in pairs)]
    parts += [_vector(frame, asked, data) for asked, data, frame in pairs]
    return "\n".join(parts)


def _pair(frame: Frame) -> tuple[Request, bytes, Frame] | None:
    asked = parse_request(frame.request.hex())
    if asked is None or asked.function in BIT_FUNCTIONS:
        return None
    found = answer(asked, frame.data)
    return None if found is None or found.kind != "reply" else (asked, found.data, frame)


def _request(asked: Request) -> str:
    lines = [
        "[[request]]",
        f"function = {asked.function}",
        f"register = {asked.register}",
        f"count = {asked.count}",
    ]
    for register in range(asked.register, asked.register + asked.count):
        lines += [
            "",
            "[[request.value]]",
            f'channel = "{_channel(asked, register)}"',
            f"register = {register}",
            'unit = "1"',
        ]
    return "\n".join(lines) + "\n"


def _vector(frame: Frame, asked: Request, data: bytes) -> str:
    words: Sequence[int] = [int.from_bytes(data[at : at + _WORD], "big") for at in range(0, len(data), _WORD)]
    expect = ", ".join(f"{_channel(asked, asked.register + at)} = {word}" for at, word in enumerate(words))
    return (
        f'[[vector]]\nrequest = "{frame.request.hex(" ")}"\nreply = "{frame.data.hex(" ")}"\nexpect = {{ {expect} }}\n'
    )


def _channel(asked: Request, register: int) -> str:
    return f"reg{asked.function}_{register}"
