"""Frames of rows 1 to 10 that public sources print and the first collection does not hold."""

import json
from pathlib import Path
from typing import NotRequired, TypedDict

import pytest

from drivers.driver import OptionValue
from drivers.io.catalog import registry

DRIVERS = registry()


class _Value(TypedDict):
    value: int | float | bool | str
    unit: str


class _Frame(TypedDict):
    device: str
    bytes_hex: str
    decoded: dict[str, _Value]
    expect: str
    check: str
    source: str
    decode_options: NotRequired[dict[str, OptionValue]]
    flags: NotRequired[list[str]]


FRAMES: list[_Frame] = json.loads((Path(__file__).parents[2] / "vectors" / "cited-frames.json").read_text("utf-8"))


@pytest.mark.parametrize("frame", FRAMES, ids=[f"{one['device']}-{index}" for index, one in enumerate(FRAMES)])
def test_a_frame_means_what_its_source_says(frame: _Frame) -> None:
    decoded = DRIVERS.decode(frame["device"], frame.get("decode_options", {}), [bytes.fromhex(frame["bytes_hex"])])
    found = {one.channel: (one.value, one.unit) for one in decoded.readings}
    assert found == {name: (one["value"], one["unit"]) for name, one in frame["decoded"].items()}
    assert {str(flag) for one in decoded.readings for flag in one.quality} == set(frame.get("flags", ()))
    assert (frame["expect"] == "reading") == bool(found)
    assert decoded.readings or decoded.reasons


def test_every_frame_names_its_source() -> None:
    assert all(one["source"] and one["check"] for one in FRAMES)
