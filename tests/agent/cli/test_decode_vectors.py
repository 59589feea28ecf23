"""``gardu driver decode`` with every published frame, and with frames that were computed from data sheets alone.

The frames in ``held-out-frames.json`` were made by a program that shares no line with the drivers and simulators.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NotRequired, TypedDict

import pytest

from agent.cli.main import main
from drivers.io.catalog import registry

_FOLDER = Path(__file__).parents[2] / "vectors"
_REGISTERS = {"senseair_s8": {"co2": 3, "type_id_low": 26}, "sdm230": {"power": 12, "energy_import": 72}}


class Value(TypedDict):
    value: float | bool | str
    unit: str


class Frame(TypedDict):
    device: str
    bytes_hex: str
    decoded: dict[str, Value]
    expect: str
    source: str
    note: NotRequired[str]
    derived: NotRequired[bool]
    options: NotRequired[dict[str, str]]


def _frames(name: str) -> list[Frame]:
    found: list[Frame] = json.loads((_FOLDER / name).read_text("utf-8"))
    return found


PUBLISHED = _frames("serial-frames.json")
HELD_OUT = _frames("held-out-frames.json")


def _words(frame: Frame) -> list[str]:
    """The command line; where one reply fits two questions of a map, which one was asked."""
    options = dict(frame.get("options", {}))
    registers = _REGISTERS.get(frame["device"], {})
    options |= next(({"register": str(registers[name])} for name in frame["decoded"] if name in registers), {})
    given = [word for name, value in options.items() for word in ("--option", f"{name}={value}")]
    return ["driver", "decode", frame["device"], *given, frame["bytes_hex"]]


def _records(frame: Frame) -> list[dict[str, object]]:
    """What it must print: SenML records, and those of doubts."""
    found: list[dict[str, object]] = []
    for name, one in frame["decoded"].items():
        kind = "vb" if isinstance(one["value"], bool) else "vs" if isinstance(one["value"], str) else "v"
        found.append({"n": name, "u": one["unit"], kind: one["value"]})
        if "flag as warming up" in frame.get("note", ""):
            found.append({"n": f"{name}/quality", "vs": "warming_up"})
    return found


def _in_order(records: list[dict[str, object]]) -> list[dict[str, object]]:
    return sorted(records, key=lambda one: str(one["n"]))


@pytest.mark.parametrize(
    "frame", [*PUBLISHED, *HELD_OUT], ids=[f"{one['device']}-{at}" for at, one in enumerate([*PUBLISHED, *HELD_OUT])]
)
def test_every_frame_decodes_to_its_values_and_units_or_is_refused(
    frame: Frame, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(_words(frame))
    said = capsys.readouterr()
    if frame["expect"] == "reading":
        assert code == 0
        assert _in_order(json.loads(said.out)) == _in_order(_records(frame))
    else:
        assert (code, json.loads(said.out)) == (3, [])
        assert said.err


def test_all_published_frames_are_here_and_five_more_of_each_family() -> None:
    assert len(PUBLISHED) == 86
    drivers = registry()
    families = Counter(drivers.info(one["device"]).family for one in HELD_OUT)
    assert set(families) == {drivers.info(name).family for name in drivers.names()}
    assert min(families.values()) >= 5
    assert all(one.get("derived") and one["source"] for one in HELD_OUT)
    assert {one["bytes_hex"] for one in HELD_OUT}.isdisjoint(one["bytes_hex"] for one in PUBLISHED)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["a02yyuw", "ff07a1a7"], 0, '"v":1.953'),
        (["a02yyuw", "ff07a1a8"], 3, "checksum"),
        (["a02yyuw", "ff07a1a"], 2, "not hex"),
    ],
)
def test_the_process_ends_with_the_same_codes(words: list[str], code: int, says: str) -> None:
    command = [sys.executable, "-sP", "-m", "agent", "driver", "decode", *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == code
    assert says in (ended.stdout + ended.stderr).replace(": ", ":").replace("checksum:", "checksum")
