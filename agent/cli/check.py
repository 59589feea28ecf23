"""``gardu check``: is the configuration right, and what does it come to?"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.config_files import STANDARD, VARIABLE, Unreadable, main_file, read_files

if TYPE_CHECKING:
    from agent.config.load import Parsed
    from agent.config.sensors import Fitted
    from drivers.registry import Registry

_FINE, _PROBLEMS, _UNREADABLE = 0, 1, 2
_EPILOG = f"""\
example:
  gardu check /etc/gardu/agent.toml

exit codes: {_FINE} fine (there may be warnings), {_PROBLEMS} problems, {_UNREADABLE} a file cannot be read
Files of conf.d beside the main file are read too. No port is opened and nothing is sent: it works offline and
beside a running agent."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("file", nargs="?", metavar="FILE", help=f"main file; without it ${VARIABLE} or {STANDARD}")
    parser.add_argument("--json", action="store_true", help="for programs: one object with findings and summary")


def run(args: argparse.Namespace) -> int:
    """Check the files, say what is wrong and what they come to."""
    from agent.config.load import parse  # noqa: PLC0415 - `gardu --help` does without it
    from drivers.io.catalog import registry  # noqa: PLC0415

    path = main_file(args.file)
    try:
        files = read_files(path)
    except Unreadable as error:
        return _refuse(error, as_json=args.json)
    drivers = registry()
    parsed = parse(files, drivers)
    summary = summarize(parsed, drivers)
    if args.json:
        print(json.dumps({"findings": [asdict(finding) for finding in parsed.problems], "summary": asdict(summary)}))
    else:
        print(*parsed.problems, *([""] if parsed.problems else []), *_told(path, summary), sep="\n")
    return _PROBLEMS if parsed.errors else _FINE


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorLine:
    """What is said of one sensor.

    Attributes:
        name: From its section.
        driver: As written.
        origin: Where the driver is from; empty where it is shipped.
        port: Normal form; empty for a probe of the box itself.
        found: Whether something is plugged in there now; None where that cannot be seen.
        where: The device, or why there is none.
        line: Serial line.
        every_s: Time between two readings.
        rows_per_s: What it adds to the spool.
    """

    name: str
    driver: str
    origin: str
    port: str
    found: bool | None
    where: str
    line: str
    every_s: float
    rows_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a configuration comes to.

    Attributes:
        errors: Number of problems.
        warnings: Number of warnings.
        usable: Whether an agent can run with it; sensors and alarms that are wrong are left out.
        hash: Of the effective configuration; empty, as all that follows, where it is not usable.
        node: Name of the box.
        city: Name of the city.
        center: URL of the center.
        sensors: Those that will run.
        alarms: What each watches, by name.
        default_alarms: Number of those that come with the probes.
        own_rows_per_s: What the box's own probes add to the spool.
        rows_per_s: All together.
        spool_days: Days without a link until the spool is full; None when nothing is read.
    """

    errors: int
    warnings: int
    usable: bool
    hash: str = ""
    node: str = ""
    city: str = ""
    center: str = ""
    sensors: tuple[SensorLine, ...] = ()
    alarms: dict[str, str] | None = None
    default_alarms: int = 0
    own_rows_per_s: float = 0.0
    rows_per_s: float = 0.0
    spool_days: float | None = None


def summarize(parsed: "Parsed", drivers: "Registry") -> Summary:
    """Return what a configuration comes to; looks for the ports without opening them."""
    from agent.config.capacity import days, own_rows_per_s, rows_per_s  # noqa: PLC0415

    warnings = len(parsed.problems) - parsed.errors
    config = parsed.config
    if config is None:
        return Summary(errors=parsed.errors, warnings=warnings, usable=False)
    rates = [rows_per_s(one) for one in parsed.fitted]
    own_rate = own_rows_per_s(config.host, parsed.equipped, config.probes)
    held_days = days(config.spool, [*rates, own_rate])
    return Summary(
        errors=parsed.errors,
        warnings=warnings,
        usable=True,
        hash=config.hash,
        node=config.node,
        city=config.city,
        center=config.center.url,
        sensors=tuple(_line(one, rate, drivers) for one, rate in zip(parsed.fitted, rates, strict=True)),
        alarms={alarm.name: f"{alarm.sensor}/{alarm.channel}".rstrip("/") for alarm in config.alarms},
        default_alarms=len(config.defaults),
        own_rows_per_s=round(own_rate, 3),
        rows_per_s=round(sum(rates) + own_rate, 3),
        spool_days=None if held_days is None else round(held_days, 1),
    )


def _line(one: "Fitted", rate: float, drivers: "Registry") -> SensorLine:
    found, where = _look(one)
    return SensorLine(
        name=one.sensor.name,
        driver=one.sensor.driver,
        origin=drivers.origin(one.info.name),
        port=one.sensor.port,
        found=found,
        where=where,
        line=str(one.line or ""),
        every_s=one.sensor.every_s or one.info.every_s,
        rows_per_s=round(rate, 3),
    )


def _look(one: "Fitted") -> tuple[bool | None, str]:
    """Return whether the port of a sensor is there, and where."""
    from drivers.errors import PortLost  # noqa: PLC0415
    from drivers.io.ports import resolve  # noqa: PLC0415

    if one.port is None:
        return None, "part of this box"
    if one.port.kind == "tcp":
        return None, f"a {'Modbus TCP' if one.port.mbap else 'serial'} server, not asked"
    try:
        return True, str(resolve(one.port))
    except PortLost as error:
        return False, error.reason


def _told(path: Path, summary: Summary) -> list[str]:
    """Return the summary for people."""
    count = f"{_count(summary.errors, 'problem')}, {_count(summary.warnings, 'warning')}"
    if not summary.usable:
        return [f"{path}: cannot be used: {count}"]
    lines = [f"{path}: {'can be used without what is wrong' if summary.errors else 'fine'}: {count}"]
    for one in summary.sensors:
        state = {True: "found: ", False: "missing: ", None: ""}[one.found]
        port = f"{one.port} " if one.port else ""
        rate = f"every {one.every_s:g} s, {one.rows_per_s:g} rows/s"
        driver = f"{one.driver} of {one.origin}" if one.origin else one.driver
        lines.append(f"  sensor {one.name}: {driver}, {port}({state}{one.where}), {rate}")
    lines.append(
        f"  this box: {summary.own_rows_per_s:g} rows/s" if summary.own_rows_per_s else "  this box: no probes"
    )
    lines += [f"  alarm {name}: watches {watched}" for name, watched in (summary.alarms or {}).items()]
    if summary.default_alarms:
        lines.append(f"  and {_count(summary.default_alarms, 'alarm')} that come with its probes: docs/alarms.md")
    if summary.spool_days is None:
        lines.append("  spool: nothing is read, so there is nothing to hold")
    else:
        held = f"holds about {summary.spool_days:g} days without a link"
        lines.append(f"  spool: {held}, at {summary.rows_per_s:g} rows/s")
    return lines


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _refuse(error: Unreadable, *, as_json: bool) -> int:
    """Say that a file cannot be read, and what to do."""
    cure = f"name the main file: gardu check FILE, or set {VARIABLE}"
    if isinstance(error.__cause__, PermissionError):
        cure = "run it as root or as the agent's own user"
    if as_json:
        unreadable = {"file": str(error.path), "reason": error.reason, "cure": cure}
        print(json.dumps({"findings": [], "summary": None, "unreadable": unreadable}))
    else:
        print(f"{error.path}: cannot be read: {error.reason}\n    cure: {cure}", file=sys.stderr)
    return _UNREADABLE
