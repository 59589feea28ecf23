"""``gardu alarms``: where every alarm stands, since when, and why."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.alarm_board import Line

_EPILOG = """\
examples:
  gardu alarms               what stands or is not known, the gravest first
  gardu alarms --all         every alarm of this node, those that are clear too
  gardu alarms --json | jq '.alarms[] | select(.state != "clear")'

exit code: 0 all are clear, 1 something stands or is not known, 2 nothing can be said: the daemon does not run here"""
_CLEAR, _STANDS, _UNSAID = 0, 1, 2
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("--all", action="store_true", help="also those that are clear")
    parser.add_argument("--json", action="store_true", help="every alarm, for programs")
    parser.add_argument("--config", metavar="PATH", help="main file, default /etc/gardu/agent.toml")


def run(args: argparse.Namespace) -> int:
    """Show where the alarms stand."""
    from agent.alarm_board import read  # noqa: PLC0415 - a command imports only what it needs
    from agent.cli.config_files import main_file, read_files  # noqa: PLC0415
    from agent.clock import boot_id, boot_ns  # noqa: PLC0415
    from agent.config.load import parse  # noqa: PLC0415
    from agent.errors import AgentError  # noqa: PLC0415
    from drivers.io.catalog import registry  # noqa: PLC0415

    path = main_file(args.config)
    try:
        config = parse(read_files(path), registry()).config
    except AgentError as error:
        return _refuse(str(error), as_json=args.json)
    if config is None:
        return _refuse(f"{path} cannot be used; gardu check says why", as_json=args.json)
    shown = read(Path(config.run_folder))
    if shown is None:
        where = f"nothing is written in {config.run_folder}"
        return _refuse(f"{where}: gardu run is not running, or only just began", as_json=args.json)
    if shown.boot != boot_id().hex():
        where = f"what stands in {config.run_folder} is from before this machine started"
        return _refuse(f"{where}: gardu run is not running", as_json=args.json)
    if not _lives(shown.pid):
        return _refuse("gardu run is not running: what it knew last is no answer", as_json=args.json)
    lines = sorted(shown.lines, key=lambda line: (_rank(line), line.name))
    if args.json:
        print(json.dumps({"alarms": [asdict(line) for line in lines]}, indent=1, ensure_ascii=False))
    else:
        _print(lines, show_all=args.all, now_ms=boot_ns() // 1_000_000)
    return _STANDS if any(_rank(line) < _QUIET for line in lines) else _CLEAR


_RAISED, _HIDDEN, _UNKNOWN, _QUIET, _ASLEEP = range(5)


def _rank(line: "Line") -> int:
    if line.asleep:
        return _ASLEEP
    if line.state not in {"clear", "unknown"}:
        return _RAISED
    if line.hidden_by:
        return _HIDDEN
    return _UNKNOWN if line.state == "unknown" and line.why else _QUIET


def _print(lines: "Sequence[Line]", *, show_all: bool, now_ms: int) -> None:
    chosen = [line for line in lines if show_all or _rank(line) < _QUIET]
    for line in chosen:
        print(f"{line.name}: {_state(line)}{_since(line, now_ms)}")
        print(f"    {line.watches}: {line.why or 'there was no reading yet'}")
    quiet = len(lines) - len(chosen)
    if quiet:
        print(f"{quiet} {'alarm is' if quiet == 1 else 'alarms are'} clear, asleep or not reported; --all shows them")
    elif not lines:
        print("this configuration has no alarm")


def _state(line: "Line") -> str:
    shown = "asleep" if line.asleep else line.state if line.why else "not reported"
    if line.severity and line.severity != line.state:
        shown += f", counts as {line.severity}"
    if line.hidden_by:
        shown = f"{line.beneath}, hidden by {line.hidden_by}"
    return shown + (", flapping" if line.flapping else "")


def _since(line: "Line", now_ms: int) -> str:
    from agent.clock import text_of  # noqa: PLC0415

    told = f" since {text_of(line.since_utc_ms)}" if line.since_utc_ms is not None else ""
    if line.since_boot_ms is None:
        return told
    seconds = max(0, now_ms - line.since_boot_ms) // 1000
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), _UNITS[-1])
    return f"{told}, {seconds // size} {unit} ago"


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _refuse(why: str, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"alarms": None, "error": why}))
    print(f"gardu alarms: {why}", file=sys.stderr)
    return _UNSAID
