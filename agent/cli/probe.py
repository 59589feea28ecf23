"""``gardu probe``: the probes of the node by hand, on the box or on recorded answers."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drivers.driver import Event
    from drivers.probe import Facts, Moment, Probe
    from drivers.probes import ProbeKind, Settings
    from drivers.reading import Reading

_EPILOG = """\
examples:
  gardu probe list                                         every probe, what it reads and what it gives
  gardu probe run conntrack                                one collection now, as SenML
  gardu probe run dnsmasq --option leases=/tmp/leases      with another setting of its section
  gardu probe run dnsmasq --file leases.txt --at 1795359040
                                                           its parser on a recorded answer
  gardu probe run hostapd --file hostapd-mib=mib.txt       the same, where the kind of answer must be named

exit code: 0 it gave readings or facts, 1 a source gave none or was not understood, 2 wrong use"""
_FOUND, _SILENT, _MISUSED = 0, 1, 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="show every probe")
    listing.add_argument("--json", action="store_true", help="for programs")
    running = actions.add_parser(
        "run", help="run one probe", epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    running.add_argument("name", help="a probe of `gardu probe list`, or one of its sources")
    running.add_argument(
        "--file", action="append", default=[], metavar="[SOURCE=]PATH", help="read this recorded answer instead"
    )
    running.add_argument("--at", type=float, metavar="UTC", help="seconds since 1970 at which it was recorded")
    running.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="a setting of the probe's section"
    )
    running.add_argument("--json", action="store_true", help="facts, SenML and problems in one object")


def run(args: argparse.Namespace) -> int:
    """List the probes or run one."""
    if args.action == "list":
        return _list(as_json=args.json)
    from drivers.errors import DriverError  # noqa: PLC0415 - a command imports only what it needs
    from drivers.probe import Moment  # noqa: PLC0415
    from drivers.probes import find, settings  # noqa: PLC0415

    try:
        kind, source = find(args.name)
        chosen = _with_options(settings(kind.section), args.option)
        boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        now = Moment(boot_ns=boot_ns, utc_s=time.time() if args.at is None else args.at)
        if args.file:
            answers = [_named(text, source) for text in args.file]
            facts, events = _recorded(kind, chosen, answers, now)
        else:
            facts, events = {}, asyncio.run(_collect(kind, chosen, now))
    except (DriverError, OSError) as error:
        print(f"gardu probe: {error}", file=sys.stderr)
        return _MISUSED
    return _show(kind, facts, events, as_json=args.json)


def _list(*, as_json: bool) -> int:
    from drivers.probes import KINDS, make, settings  # noqa: PLC0415

    found = []
    for kind in KINDS:
        probe = make(kind, settings(kind.section))
        channels = [
            {"name": f"{probe.sensor}/{each.name}", "unit": each.unit, "doc": each.doc} for each in probe.info.channels
        ]
        sources = [{"name": each.name, "title": each.title} for each in probe.sources]
        found.append(
            {
                "name": kind.name,
                "section": kind.section,
                "core": kind.core,
                "title": probe.info.title,
                "every_s": probe.info.every_s,
                "sources": sources,
                "channels": channels,
            }
        )
        if not as_json:
            print(f"{kind.name}  {probe.info.title} (each {probe.info.every_s:g} s, section [{kind.section}])")
            for source in sources:
                print(f"    from  {source['name']:<28} {source['title']}")
            for channel in channels:
                print(f"    gives {channel['name']:<28} {channel['unit']:<6} {channel['doc']}")
    if as_json:
        print(json.dumps(found, indent=1))
    return _FOUND


def _with_options(given: "Settings", pairs: Sequence[str]) -> "Settings":
    """Return the settings with some of them replaced by text from the command line."""
    from drivers.errors import OptionError  # noqa: PLC0415

    kinds = {each.name: type(getattr(given, each.name)) for each in fields(given)}
    changes: dict[str, object] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or key not in kinds:
            raise OptionError(f"--option {pair}", f"write it as KEY=VALUE; keys: {', '.join(kinds)}")
        changes[key] = _value(kinds[key], text)
    return replace(given, **changes)  # type: ignore[arg-type]  # of the kind of the field's default


def _value(kind: type, text: str) -> object:
    if kind is tuple:
        return tuple(part for part in text.split(",") if part)
    if kind is bool:
        return text.lower() in {"true", "yes", "1"}
    return kind(text)


def _named(text: str, source: str) -> tuple[str, Path]:
    """Return the source and the path of ``[SOURCE=]PATH``; the source is empty where it is not said."""
    name, equals, path = text.partition("=")
    if equals and not Path(text).exists():
        return name, Path(path)
    return source, Path(text)


def _recorded(
    kind: "ProbeKind", chosen: "Settings", answers: Sequence[tuple[str, Path]], now: "Moment"
) -> "tuple[dict[str, list[Facts]], list[Event]]":
    """Give recorded answers to a probe; a kind of answer that is not named is found by what its parser takes."""
    from drivers.io.answers import read  # noqa: PLC0415
    from drivers.probes import make  # noqa: PLC0415

    probe = make(kind, chosen)
    facts: dict[str, list[Facts]] = {}
    events: list[Event] = []
    for given, path in answers:
        raw = read(path)
        name, said = _read(probe, given, raw, path)
        facts.setdefault(name, []).append(said)
        events += probe.answer(name, raw, now)
    return facts, events


def _read(probe: "Probe", given: str, raw: bytes, path: Path) -> "tuple[str, Facts]":
    from drivers.probe import AnswerError  # noqa: PLC0415

    known = ", ".join(source.name for source in probe.sources)
    reasons = []
    for source in probe.sources:
        if given in ("", source.name):
            try:
                return source.name, source.parse(raw)
            except AnswerError as error:
                reasons.append(f"{source.name}: {error}")
    why = "; ".join(reasons) or f"no source is called {given!r}"
    others = ", ".join(_understood_by(raw)) if not given else ""
    cure = f"it is an answer for: {others}" if others else "name one with --file SOURCE=PATH"
    raise AnswerError(f"{path}: {why}; sources: {known}; {cure}")


def _understood_by(raw: bytes) -> list[str]:
    """Return the probes that understand an answer, as ``gardu probe run NAME`` wants them."""
    from drivers.probe import AnswerError  # noqa: PLC0415
    from drivers.probes import KINDS, make, settings  # noqa: PLC0415

    found = []
    for kind in KINDS:
        for source in make(kind, settings(kind.section)).sources:
            try:
                source.parse(raw)
            except AnswerError:
                continue
            found.append(kind.name)
            break
    return found


async def _collect(kind: "ProbeKind", chosen: "Settings", now: "Moment") -> "list[Event]":
    from drivers.probes import collector  # noqa: PLC0415

    made = collector(kind, chosen)
    try:
        async with asyncio.timeout(made.timeout_s):
            return await made.collect(now)
    except TimeoutError:
        return made.probe.silent(kind.name, f"no answer within {made.timeout_s:g} s")
    finally:
        made.close()


def _show(kind: "ProbeKind", facts: "dict[str, list[Facts]]", events: "Sequence[Event]", *, as_json: bool) -> int:
    from drivers.driver import Problem  # noqa: PLC0415
    from drivers.reading import Reading  # noqa: PLC0415

    readings = [event for event in events if isinstance(event, Reading)]
    problems = [event.detail for event in events if isinstance(event, Problem) and not event.ok]
    senml = [record for reading in readings for record in _records(reading)]
    said = {name: [each.said() for each in answers] for name, answers in facts.items()}
    if as_json:
        alone = {name: answers[0] if len(answers) == 1 else answers for name, answers in said.items()}
        print(json.dumps({"probe": kind.name, "facts": alone, "senml": senml, "problems": problems}, indent=1))
    else:
        print(json.dumps(senml, indent=1))
        for problem in problems:
            print(f"gardu probe: {problem}", file=sys.stderr)
    return _SILENT if problems or not (readings or facts) else _FOUND


def _records(reading: "Reading") -> list[dict[str, object]]:
    """Return the SenML records of a reading: its value, and one for each flag."""
    key = "vb" if isinstance(reading.value, bool) else "vs" if isinstance(reading.value, str) else "v"
    name = f"{reading.sensor}/{reading.channel}"
    records: list[dict[str, object]] = [{"n": name, "u": reading.unit, key: reading.value}]
    records.extend({"n": f"{name}/quality", "vs": flag.value} for flag in sorted(reading.quality))
    return records
