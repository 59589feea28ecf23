"""What the commands of site work share: the configuration and one sensor of it, the question, the note at the end."""

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from agent.cli.config_files import main_file, read_files
from agent.cli.noting import KEPT, hand_in, note
from agent.config.document import Node
from agent.config.load import parse
from agent.config.model import Config, Sensor
from agent.config.sensors import Fitted
from agent.errors import AgentError, ConfigError
from agent.notes import NoteError
from agent.wire.records import Work
from drivers.registry import Registry

DONE, NOT, UNREADABLE, NO_NOTE = 0, 1, 2, 3
EXITS = (
    "exit code: 0 done (or nothing to do), 1 not done and nothing changed, 2 the configuration cannot be used,"
    "\n           3 done, but the note could not be kept: write it with `gardu note`"
)


class Stop(AgentError):  # noqa: N818 - not an error of the program: the work is not done, and the text says why
    """The work ends here.

    Attributes:
        code: Exit code.
    """

    def __init__(self, text: str, code: int = NOT) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One sensor where it stands.

    Attributes:
        main: Main file of the configuration.
        config: All of it.
        drivers: All there are.
        fitted: The sensor, with its driver.
    """

    main: Path
    config: Config
    drivers: Registry
    fitted: Fitted

    @property
    def sensor(self) -> Sensor:
        """What the configuration says of it."""
        return self.fitted.sensor

    @property
    def section(self) -> Node:
        """Its section."""
        return self.fitted.node


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that all have."""
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="show it and change nothing")
    parser.add_argument("--json", action="store_true", help="for programs; with --yes or --dry-run")
    parser.add_argument("--config", metavar="PATH", help="main file, default /etc/gardu/agent.toml")


def find(args: argparse.Namespace, drivers: Registry) -> Place:
    """Return the sensor that is meant. Raises Stop."""
    if args.json and not (args.yes or args.dry_run):
        raise Stop("a program cannot be asked: add --yes or --dry-run to --json", UNREADABLE)
    main = main_file(args.config)
    try:
        parsed = parse(read_files(main), drivers)
    except ConfigError as error:
        raise Stop(str(error), UNREADABLE) from error
    fitted = next((one for one in parsed.fitted if one.sensor.name == args.sensor), None)
    wrong = "".join(f"\n{one}" for one in parsed.problems if one.severity == "error")
    if parsed.config is None:
        raise Stop(f"the configuration cannot be used:{wrong}", UNREADABLE)
    if fitted is None or fitted.driver is None:
        names = ", ".join(one.sensor.name for one in parsed.fitted)
        raise Stop(f"no usable sensor is called {args.sensor!r}; there are: {names or 'none'}{wrong}", UNREADABLE)
    return Place(main=main, config=parsed.config, drivers=drivers, fitted=fitted)


def may_write(folder: Path, *, dry_run: bool) -> None:
    """Find out before the work, and not behind it, that this user may not do it. Raises Stop."""
    if not dry_run and not os.access(folder, os.W_OK):
        raise Stop(f"you may not write in {folder}; use sudo")


def confirm(question: str, *, yes: bool) -> None:
    """Ask a person unless ``yes``. Raises Stop for any answer but yes."""
    if yes:
        return
    try:
        answer = input(f"{question} [y/N] ")
    except EOFError:
        answer = ""
        print()
    if answer.strip().lower() not in {"y", "yes", "ya"}:
        raise Stop("nothing was changed")


def tell(config: Config, work: Work, sensor: str, text: str) -> str:
    """Put a note into the record and return where it is, a key of `KEPT`; empty when it could not be kept."""
    try:
        return hand_in(config, note(work, sensor, text))
    except NoteError as error:
        cure = f"write it yourself: gardu note {work} {sensor} {text}"
        print(f"the note could not be kept: {error}; {cure}", file=sys.stderr)
        return ""


def kept_text(kept: str) -> str:
    """Return what is said of a note by where it is."""
    return KEPT.get(kept, "not kept")


def code(kept: str) -> int:
    """Return the exit code of work that is done, by where its note is."""
    return NO_NOTE if kept in {"", "memory"} else DONE
