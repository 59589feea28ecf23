"""``gardu calibrate``: what the staff gauge shows becomes the height of a level sensor, in the technician's file."""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.cli.gauging import Measured
    from agent.cli.site_work import Place
    from drivers.driver import Gauge

_SAMPLES = 15
_SPREAD = "3 cm"
_LEAST_WITHIN_S = 60.0
_EPILOG = """\
examples:
  gardu calibrate sungai --staff 1.24              the staff gauge shows 1.24 m
  gardu calibrate sungai --staff "124 cm" --dry-run

Takes {samples} good readings, shows what they come to and what would change, asks, and writes mount_height into the
file that holds [sensor.sungai]; every other byte stays, and the file of before is kept beside it as *.bak. The record
gets a signed note. The agent goes on with the old height until it is told: {reload}

{exits}"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from agent.cli.config_change import RELOAD  # noqa: PLC0415 - `gardu --help` does without it
    from agent.cli.site_work import EXITS, arguments  # noqa: PLC0415

    parser.epilog = _EPILOG.format(samples=_SAMPLES, reload=RELOAD, exits=EXITS)
    parser.add_argument("sensor", metavar="SENSOR", help="its name in the configuration")
    parser.add_argument("--staff", required=True, metavar="LEVEL", help="level on the staff gauge: 1.24, '124 cm'")
    parser.add_argument("--samples", type=int, default=_SAMPLES, metavar="N", help=f"good readings ({_SAMPLES})")
    parser.add_argument("--spread", default=_SPREAD, metavar="LENGTH", help=f"refuse if they differ more ({_SPREAD})")
    parser.add_argument("--within", type=float, metavar="S", help="longest wait; by default what the readings need")
    arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, show, ask, write."""
    from agent.cli.site_work import NOT, UNREADABLE, Stop  # noqa: PLC0415 - `gardu --help` does without it
    from drivers.quantity import QuantityError  # noqa: PLC0415

    try:
        staff_m, most_spread_m = _metres(args.staff), _metres(args.spread)
    except QuantityError as error:
        return _refuse(f"{error}", UNREADABLE)
    if args.samples < 1:
        return _refuse("--samples must be 1 or more", UNREADABLE)
    try:
        return _calibrate(args, staff_m, most_spread_m)
    except Stop as stop:
        return _refuse(str(stop), stop.code)
    except OSError as error:
        cure = "use sudo" if isinstance(error, PermissionError) else "nothing was changed"
        return _refuse(f"{error.filename}: {error.strerror}; {cure}", NOT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a calibration comes to, in m; ``old_m`` is None before the first one.

    Attributes:
        sensor: Name of the sensor.
        gauge: How its raw channel becomes a level.
        measured: The raw channel.
        staff_m: Level on the staff gauge.
        old_m: Height of the sensor as it stands in the file.
        new_m: As it should be, to the millimetre.
    """

    sensor: str
    gauge: "Gauge"
    measured: "Measured"
    staff_m: float
    old_m: float | None
    new_m: float

    @property
    def level_m(self) -> float | None:
        """The level with the old height."""
        return None if self.old_m is None else self.old_m + self.gauge.sign * self.measured.median

    @property
    def jump_m(self) -> float | None:
        """How far the level will move."""
        return None if self.old_m is None else round(self.new_m - self.old_m, 3)

    def as_json(self) -> dict[str, object]:
        """Return it for programs."""
        return {
            "sensor": self.sensor,
            "channel": self.measured.channel,
            "readings": self.measured.count,
            "doubted": dict(self.measured.doubted),
            "median_m": round(self.measured.median, 4),
            "spread_m": round(self.measured.spread, 4),
            "staff_m": self.staff_m,
            "option": self.gauge.option,
            "old_m": self.old_m,
            "new_m": self.new_m,
            "jump_m": self.jump_m,
        }

    def as_text(self) -> list[str]:
        """Return it for people."""
        one = self.measured
        doubts = ", ".join(f"{flag} {count}x" for flag, count in one.doubted.items())
        lines = [
            f"{self.sensor}/{one.channel}: median {one.median:.3f} m of {one.count} readings, spread {one.spread:.3f} m"
            + (f", left out: {doubts}" if doubts else ""),
            f"  {self.gauge.option:14} {_length(self.old_m)} -> {_length(self.new_m)}",
        ]
        if self.level_m is not None:
            lines.append(
                f"  level now      {self.level_m:.3f} m -> {self.staff_m:.3f} m, a jump of {self.jump_m:+.3f} m"
            )
        return lines

    def as_note(self) -> str:
        """Return it for the record."""
        one = self.measured
        return (
            f"staff {self.staff_m:.3f} m; {self.gauge.option} {_length(self.old_m)} -> {_length(self.new_m)}; median"
            f" {one.channel} {one.median:.3f} m of {one.count}, spread {one.spread:.3f} m"
        )


def _calibrate(args: argparse.Namespace, staff_m: float, most_spread_m: float) -> int:
    from agent.cli import config_change, site_work  # noqa: PLC0415
    from agent.config.edit import basic  # noqa: PLC0415
    from agent.errors import ConfigError  # noqa: PLC0415
    from agent.wire.records import Work  # noqa: PLC0415
    from drivers.io.catalog import registry  # noqa: PLC0415

    place = site_work.find(args, registry())
    site_work.may_write(Path(place.section.file).parent, dry_run=args.dry_run)
    found = _measure(place, args, staff_m, most_spread_m)
    option = found.gauge.option
    try:
        made = config_change.plan(place.main, place.drivers, found.sensor, {option: basic(_length(found.new_m))})
    except ConfigError as error:
        raise site_work.Stop(str(error)) from error
    told = {**found.as_json(), "file": str(made.path), "written": False, "note": None}
    if not args.json:
        print(*found.as_text(), f"  file           {made.path}", sep="\n")
    if args.dry_run:
        print(json.dumps(told) if args.json else "nothing was changed (--dry-run)")
        return site_work.DONE
    site_work.confirm("write it?", yes=args.yes)
    try:
        backup = config_change.write(made)
    except ConfigError as error:
        raise site_work.Stop(str(error)) from error
    kept = site_work.tell(place.config, Work.CALIBRATE, found.sensor, found.as_note())
    if args.json:
        print(json.dumps({**told, "written": True, "backup": str(backup), "note": kept or None}))
    else:
        print(f"written; the file of before is {backup}", f"note: {site_work.kept_text(kept)}", sep="\n")
        print(f"to make it run: {config_change.RELOAD}")
    return site_work.code(kept)


def _measure(place: "Place", args: argparse.Namespace, staff_m: float, most_spread_m: float) -> Finding:
    import asyncio  # noqa: PLC0415

    from agent.cli.gauging import Samples, Unsteady, collect  # noqa: PLC0415
    from agent.cli.site_work import Stop  # noqa: PLC0415
    from drivers.quantity import amount  # noqa: PLC0415

    sensor, gauge = place.sensor, place.fitted.info.gauge
    if gauge is None:
        raise Stop(f"{sensor.name} is a {sensor.driver}, which has no height: there is nothing to calibrate")
    written = sensor.options.get(gauge.option)
    old_m = float(amount(str(written), "m")) if written is not None else None
    # A unit that hangs in the water tells its depth as level for as long as nobody has given it a height.
    channels = [gauge.raw, gauge.level] if gauge.sign > 0 and old_m is None else [gauge.raw]
    samples = Samples(channels, args.samples)
    every_s = sensor.every_s or place.fitted.info.every_s
    within_s = args.within or max(_LEAST_WITHIN_S, 2 * every_s * args.samples)
    if not args.json:
        print(f"reading {sensor.name}: {args.samples} good readings, at most {within_s:g} s ...", flush=True)
    try:
        asyncio.run(collect(place.config, place.drivers, sensor.name, samples, within_s))
        measured = samples.measured(most_spread_m)
    except Unsteady as error:
        raise Stop(f"{sensor.name}: {error}") from error
    new_m = round(gauge.mount_height_m(measured.median, staff_m), 3)
    return Finding(sensor=sensor.name, gauge=gauge, measured=measured, staff_m=staff_m, old_m=old_m, new_m=new_m)


def _metres(text: str) -> float:
    """Return a length in m; a number alone is one. Raises QuantityError."""
    from drivers.quantity import convert, parse  # noqa: PLC0415

    found = parse(text)
    return float(found.number if not found.unit else convert(found, "m"))


def _length(metres: float | None) -> str:
    return "none" if metres is None else f"{metres:.3f} m"


def _refuse(why: str, code: int) -> int:
    print(f"gardu calibrate: {why}", file=sys.stderr)
    return code
