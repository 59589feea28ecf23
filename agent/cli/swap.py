"""``gardu swap``: a unit was replaced; the sensor keeps its name and its history, and the record says so."""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.cli.config_change import Change
    from agent.cli.site_work import Place
    from agent.sensor_book import Entry, SensorBook

_EPILOG = """\
examples:
  gardu swap sungai                          another unit of the same model hangs there now
  gardu swap sungai --driver a01nyub         ... of another model; options that it does not know are taken away
  gardu swap udara --driver sds011 --port usb:1-1.4

Changes driver and port in the file that holds the sensor's section; every other byte stays, and the file of before is
kept beside it as *.bak. The unit that is there now becomes the sensor's own, and its hours begin at 0. The record gets
a signed note. A new driver or port runs once the agent is told: {reload}

{exits}"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from agent.cli.config_change import RELOAD  # noqa: PLC0415 - `gardu --help` does without it
    from agent.cli.site_work import EXITS, arguments  # noqa: PLC0415

    parser.epilog = _EPILOG.format(reload=RELOAD, exits=EXITS)
    parser.add_argument("sensor", metavar="SENSOR", help="its name in the configuration")
    parser.add_argument("--driver", metavar="NAME", help="driver, profile or model of the new unit, when it is another")
    parser.add_argument("--port", metavar="PORT", help="where it is plugged in, when that is another socket")
    arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Show, ask, write."""
    from agent.cli.site_work import NOT, Stop  # noqa: PLC0415 - `gardu --help` does without it

    try:
        return _swap(args)
    except Stop as stop:
        return _refuse(str(stop), stop.code)
    except OSError as error:
        cure = "use sudo" if isinstance(error, PermissionError) else "nothing was changed"
        return _refuse(f"{error.filename}: {error.strerror}; {cure}", NOT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """What is replaced by what.

    Attributes:
        sensor: Name of the sensor.
        driver: Before and now.
        port: Before and now.
        unit: Identity before and now; empty where the unit has none or has not shown it.
        hours: That the unit before has worked.
        dropped: Options that the new driver does not know, as they stand in the file.
        keys: Of the section, to be written.
    """

    sensor: str
    driver: tuple[str, str]
    port: tuple[str, str]
    unit: tuple[str, str]
    hours: float
    dropped: dict[str, str]
    keys: dict[str, str | None]

    def as_json(self) -> dict[str, object]:
        """Return it for programs."""
        return {
            "sensor": self.sensor,
            "driver": list(self.driver),
            "port": list(self.port),
            "unit": list(self.unit),
            "hours_on": round(self.hours, 1),
            "dropped": self.dropped,
        }

    def as_text(self) -> list[str]:
        """Return it for people."""
        old, new = self.unit
        lines = [
            f"{self.sensor}:",
            f"  driver  {_arrow(self.driver)}",
            f"  port    {_arrow(self.port)}",
            f"  unit    {old or 'not known'} -> {new or 'the one that answers next'}",
            f"  hours   {self.hours:.1f} -> 0",
        ]
        lines += [
            f"  dropped {name} = {text}   ({self.driver[1]} does not know it)" for name, text in self.dropped.items()
        ]
        return lines

    def as_note(self) -> str:
        """Return it for the record."""
        old, new = self.unit
        parts = [f"driver {_arrow(self.driver)}"]
        parts += [f"port {_arrow(self.port)}"] if self.port[0] != self.port[1] else []
        parts += [f"unit {old or 'not known'} -> {new or 'not known yet'}", f"{self.hours:.1f} h worked"]
        parts += [f"dropped {', '.join(self.dropped)}"] if self.dropped else []
        return "; ".join(parts)


def _swap(args: argparse.Namespace) -> int:
    from agent.cli import config_change, site_work  # noqa: PLC0415
    from agent.errors import ConfigError  # noqa: PLC0415
    from agent.sensor_book import FILE, SensorBook  # noqa: PLC0415
    from agent.wire.records import Work  # noqa: PLC0415
    from drivers.io.catalog import registry  # noqa: PLC0415

    place = site_work.find(args, registry())
    memory = Path(place.config.spool.folder).parent
    for folder in (memory, Path(place.section.file).parent):
        site_work.may_write(folder, dry_run=args.dry_run)
    book = SensorBook(memory / FILE)
    entry = book.known(args.sensor)
    swap = plan(place, entry, driver=args.driver, port=args.port)
    try:
        made = config_change.plan(place.main, place.drivers, swap.sensor, swap.keys) if swap.keys else None
    except ConfigError as error:
        raise site_work.Stop(str(error)) from error
    told = {**swap.as_json(), "file": None if made is None else str(made.path), "done": False, "note": None}
    if not args.json:
        print(*swap.as_text(), sep="\n")
        print(f"  file    {'stays as it is' if made is None else made.path}")
    if args.dry_run:
        print(json.dumps(told) if args.json else "nothing was changed (--dry-run)")
        return site_work.DONE
    site_work.confirm("was this unit replaced?", yes=args.yes)
    backup = _write(made)
    remembered = _remember(book, swap, entry)
    kept = site_work.tell(place.config, Work.SWAP, swap.sensor, swap.as_note())
    if args.json:
        copy = None if backup is None else str(backup)
        print(json.dumps({**told, "done": True, "backup": copy, "book": remembered, "note": kept or None}))
    else:
        if backup is not None:
            print(f"written; the file of before is {backup}")
        print(f"note: {site_work.kept_text(kept)}")
        print("to make it run: " + config_change.RELOAD if made is not None else "the agent takes it within seconds")
        if place.drivers.info(swap.driver[1]).gauge is not None:
            print(f"it measures a level, so calibrate it: gardu calibrate {swap.sensor} --staff LEVEL")
    return site_work.code(kept) if remembered else site_work.NO_NOTE


def plan(place: "Place", entry: "Entry", *, driver: str | None, port: str | None) -> Swap:
    """Return what is replaced by what. Raises Stop."""
    from agent.cli.site_work import UNREADABLE, Stop  # noqa: PLC0415
    from agent.config.edit import basic  # noqa: PLC0415
    from agent.config.schema import SECTIONS  # noqa: PLC0415
    from drivers.errors import DriverError  # noqa: PLC0415

    sensor, written = place.sensor, place.section.table()
    at = str(written["port"].value) if "port" in written else ""
    now = (driver or sensor.driver, port or at)
    if any(not letter.isprintable() for word in now for letter in word):
        raise Stop("--driver and --port are plain words", UNREADABLE)
    try:
        known = {option.name for option in place.drivers.info(now[0]).options}
    except DriverError as error:
        raise Stop(str(error), UNREADABLE) from error
    known |= {key.name for key in SECTIONS["sensor.NAME"]}
    dropped = {name: node.text or f"[{node.path}]" for name, node in written.items() if name not in known}
    keys: dict[str, str | None] = dict.fromkeys(dropped)
    if now[0] != sensor.driver:
        keys["driver"] = basic(now[0])
    if now[1] != at:
        keys["port"] = basic(now[1])
    same_driver = now[0] == sensor.driver
    return Swap(
        sensor=sensor.name,
        driver=(sensor.driver, now[0]),
        port=(at, now[1]),
        unit=(entry.identity, entry.offered if same_driver else ""),  # another driver gives the unit another name
        hours=entry.hours_on,
        dropped=dropped,
        keys=keys,
    )


def _write(made: "Change | None") -> Path | None:
    from agent.cli import config_change, site_work  # noqa: PLC0415
    from agent.errors import ConfigError  # noqa: PLC0415

    try:
        return None if made is None else config_change.write(made)
    except ConfigError as error:
        raise site_work.Stop(str(error)) from error


def _remember(book: "SensorBook", swap: Swap, entry: "Entry") -> bool:
    """Make the unit that is there the sensor's own; False, and said, where the book cannot be written."""
    if swap.unit[1]:
        book.accept(swap.sensor, swap.unit[1], entry.driver)
    else:
        book.forget(swap.sensor)
    try:
        book.save()
    except OSError as error:
        print(f"the known unit and its hours were not reset: {error.strerror}; run the same again", file=sys.stderr)
        return False
    return True


def _arrow(pair: tuple[str, str]) -> str:
    return pair[0] if pair[0] == pair[1] else f"{pair[0]} -> {pair[1]}"


def _refuse(why: str, code: int) -> int:
    print(f"gardu swap: {why}", file=sys.stderr)
    return code
