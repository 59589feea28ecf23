"""``gardu note``: what a person did at the box becomes part of the signed record."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from agent.wire.records import Work

if TYPE_CHECKING:
    from agent.config.model import Config

_KEPT, _NOT, _UNREADABLE = 0, 1, 2
_EPILOG = """\
examples:
  gardu note clean air inlet brushed, filter changed
  gardu note visit padlock replaced
  gardu note move sungai two metres downstream, same height
  gardu note --box visit air conditioner of the kiosk off      though a sensor is called air

Options stand before KIND or behind TEXT. The note is signed with your login name and goes to the center like an alarm.
Without a running agent it waits on disk and is signed at the next start. It cannot be changed or taken back: write
another one.

exit code: 0 kept, 1 not kept (or only in memory, because the card refuses writes), 2 unreadable configuration"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("kind", metavar="KIND", choices=[str(work) for work in Work], help=", ".join(Work))
    parser.add_argument("words", metavar="[SENSOR] TEXT", nargs="*", help="which sensor, if one, and what was done")
    parser.add_argument("--box", action="store_true", help="about the whole box, though TEXT begins like a sensor")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--config", metavar="PATH", help="main file, default /etc/gardu/agent.toml")


def run(args: argparse.Namespace) -> int:
    """Keep the note."""
    from agent.cli.config_files import main_file, read_files  # noqa: PLC0415 - `gardu --help` does without it
    from agent.cli.noting import KEPT, hand_in, note  # noqa: PLC0415
    from agent.config.load import parse  # noqa: PLC0415
    from agent.errors import AgentError  # noqa: PLC0415
    from agent.notes import NoteError  # noqa: PLC0415
    from drivers.io.catalog import registry  # noqa: PLC0415

    try:
        config = parse(read_files(main_file(args.config)), registry()).config
    except AgentError as error:
        return _refuse(str(error), _UNREADABLE)
    if config is None:
        return _refuse("the configuration cannot be used; `gardu check` says more", _UNREADABLE)
    sensor, text = split(args.words, [] if args.box else _names(config))
    try:
        said = note(Work(args.kind), sensor, text)
        kept = hand_in(config, said)
    except NoteError as error:
        return _refuse(str(error), _NOT)
    if args.json:
        told = {"work": said.work.value, "by": said.by, "sensor": said.sensor, "text": said.text, "kept": kept}
        print(json.dumps(told, ensure_ascii=False))
    else:
        print(f"{said.work} {said.sensor or 'the box'} by {said.by}: {KEPT[kept]}")
    return _NOT if kept == "memory" else _KEPT


def split(words: list[str], names: list[str]) -> tuple[str | None, str]:
    """Return the sensor that the words begin with, if they do, and the rest as text."""
    if words and words[0] in names:
        return words[0], " ".join(words[1:])
    return None, " ".join(words)


def _names(config: "Config") -> list[str]:
    return [sensor.name for sensor in config.sensors]


def _refuse(why: str, code: int) -> int:
    print(f"gardu note: {why}", file=sys.stderr)
    return code
