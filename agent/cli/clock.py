"""``gardu clock``: what time this box believes it is, and why; sets it by hand where nothing else can."""

import argparse
import json
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.belief import Bounds, Sighting
    from agent.clock_files import ClockFiles

_BELIEVED, _NOT, _UNREADABLE = 0, 1, 2
_TYPED_MS = 60_000  # a person types a time read off a phone
_EPILOG = """\
examples:
  gardu clock                                     what is believed, and why
  gardu clock set 2026-11-22T19:30:00+07:00       what a phone shows; the offset must be given
  gardu clock reset --yes                         forget what the center told: the floor is the build again

A time that is set counts until the machine restarts, and while no better source speaks: a time service, a satellite
receiver. The running agent takes it within 10 s, one that is started later takes it then. The machine's own clock is
not touched. Reset is for one case only: the center's clock was wrong and is right again.

exit code: 0 a time is believed (set, reset: done), 1 none is (set, reset: refused), 2 unreadable configuration"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("action", nargs="?", choices=("set", "reset"), help="without it: show")
    parser.add_argument("time", nargs="?", metavar="TIME", help="ISO 8601 with its offset, for set")
    parser.add_argument("--yes", action="store_true", help="for reset: really")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--config", metavar="PATH", help="main file, default /etc/gardu/agent.toml")


def run(args: argparse.Namespace) -> int:
    """Show, set or reset."""
    from agent.cli.config_files import main_file, read_files  # noqa: PLC0415 - `gardu --help` does without it
    from agent.clock import boot_id  # noqa: PLC0415
    from agent.clock_files import ClockFiles  # noqa: PLC0415
    from agent.config.load import parse  # noqa: PLC0415
    from agent.errors import AgentError  # noqa: PLC0415
    from drivers.io.catalog import registry  # noqa: PLC0415

    try:
        config = parse(read_files(main_file(args.config)), registry()).config
    except AgentError as error:
        return _refuse(str(error), _UNREADABLE)
    if config is None:
        return _refuse("the configuration cannot be used; `gardu check` says more", _UNREADABLE)
    files = ClockFiles(Path(config.spool.folder).parent, Path(config.run_folder), boot_id())
    try:
        if args.action == "set":
            return _set(files, args.time, as_json=args.json)
        if args.action == "reset":
            return _reset(files, sure=args.yes, as_json=args.json)
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror}; run it as root", _NOT)
    view = look(files)
    print(json.dumps(view.as_json()) if args.json else "\n".join(view.as_text()))
    return _NOT if view.believed is None else _BELIEVED


def _set(files: "ClockFiles", text: str | None, *, as_json: bool) -> int:
    from agent.belief import Sighting, Source  # noqa: PLC0415
    from agent.clock import boot_ns, text_of  # noqa: PLC0415

    boot_ms = boot_ns() // 1_000_000
    try:
        given = datetime.fromisoformat(text or "")
    except ValueError:
        return _refuse(f"{text!r} is no time; write it as 2026-11-22T19:30:00+07:00", _NOT)
    if given.tzinfo is None:
        return _refuse(f"{text} may mean many moments; add the offset: {text}+07:00, or {text}Z for UTC", _NOT)
    utc_ms = int(given.timestamp() * 1000)
    doubt = look(files).bounds.doubt(utc_ms, boot_ms)
    if doubt:
        cure = "`gardu clock` shows what the center told; if the center was wrong: `gardu clock reset --yes`"
        return _refuse(f"{text_of(utc_ms)} cannot be: it is {doubt}; {cure}", _NOT)
    files.set_hand(Sighting(source=Source.HAND, boot_ms=boot_ms, utc_ms=utc_ms, uncertainty_ms=_TYPED_MS))
    view = look(files)
    if as_json:
        print(json.dumps(view.as_json()))
    else:
        print(f"set to {text_of(utc_ms)}; the agent takes it within 10 s", *view.as_text(), sep="\n")
    return _BELIEVED


def _reset(files: "ClockFiles", *, sure: bool, as_json: bool) -> int:
    if not sure:
        return _refuse("this lowers the time floor, which guards against expired certificates; add --yes", _NOT)
    files.ask_reset()
    files.forget()
    print(json.dumps({"reset": True}) if as_json else "the time floor is the build again; the next ack raises it anew")
    return _BELIEVED


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is known of the time now.

    Attributes:
        boot: Kernel boot id, hex.
        boot_ms: CLOCK_BOOTTIME now.
        wall_ms: The machine's clock, in UTC ms.
        bounds: What is possible.
        sightings: The last word of each source.
        believed: The one that counts.
        why: Why, or why none does.
    """

    boot: str
    boot_ms: int
    wall_ms: int
    bounds: "Bounds"
    sightings: "tuple[Sighting, ...]"
    believed: "Sighting | None"
    why: str

    def utc_ms(self, sighting: "Sighting") -> int:
        """Return what a source makes of now."""
        return self.boot_ms + sighting.offset_ms

    def doubt(self, sighting: "Sighting") -> str:
        """Return why a source cannot be right; empty when it can."""
        return self.bounds.doubt(self.utc_ms(sighting), self.boot_ms)

    def as_json(self) -> dict[str, object]:
        """Return it for programs."""
        told = self.bounds.told
        return {
            "boot": self.boot,
            "boot_ms": self.boot_ms,
            "wall_utc_ms": self.wall_ms,
            "believed": None if self.believed is None else self._source(self.believed),
            "why": self.why,
            "floor_utc_ms": self.bounds.floor_ms,
            "center": None if told is None else {"boot_ms": told.boot_ms, "utc_ms": told.utc_ms},
            "sources": [self._source(one) for one in self.sightings],
        }

    def _source(self, one: "Sighting") -> dict[str, object]:
        return {
            "source": one.source.value,
            "utc_ms": self.utc_ms(one),
            "uncertainty_ms": one.error_ms(self.boot_ms),
            "seen_boot_ms": one.boot_ms,
            "doubt": self.doubt(one),
        }

    def as_text(self) -> list[str]:
        """Return it for people."""
        from agent.belief import Source  # noqa: PLC0415
        from agent.clock import text_of  # noqa: PLC0415

        told = self.bounds.told
        since = "nothing in this boot" if told is None else f"{text_of(told.utc_ms)}, {self._ago(told.boot_ms)}"
        believed = "nothing" if self.believed is None else text_of(self.utc_ms(self.believed))
        lines = [
            f"up          {_span(self.boot_ms)} (boot {self.boot})",
            f"wall clock  {text_of(self.wall_ms)}",
            f"believed    {believed}: {self.why}",
            f"floor       {text_of(self.bounds.floor_ms)}",
            f"center      told {since}",
        ]
        seen = {one.source: one for one in self.sightings}
        for source in Source:
            one = seen.get(source)
            if one is None:
                lines.append(f"  {source:8}  says nothing")
                continue
            error = f"+-{one.error_ms(self.boot_ms) / 1000:.3g} s"
            doubt = f"; not believed: {self.doubt(one)}" if self.doubt(one) else ""
            lines.append(f"  {source:8}  {text_of(self.utc_ms(one))} {error}, {self._ago(one.boot_ms)}{doubt}")
        return lines

    def _ago(self, boot_ms: int) -> str:
        return f"{_span(self.boot_ms - boot_ms)} ago"


def look(files: "ClockFiles") -> View:
    """Ask every source that can be asked from here, and take from the running agent what only it hears."""
    from agent.belief import Sighting, Source, best  # noqa: PLC0415
    from agent.clock import boot_id, boot_ns, wall_ms  # noqa: PLC0415
    from agent.timekeeper import rtc_sighting  # noqa: PLC0415
    from drivers.io.rtc import since_epoch_s  # noqa: PLC0415
    from drivers.io.timex import clock_state  # noqa: PLC0415

    shown, bounds = files.shown()
    seen = {one.source: one for one in shown}
    now_ms, utc_ms, kernel = boot_ns() // 1_000_000, wall_ms(), clock_state()
    kept = kernel is not None and kernel.synchronised
    if kernel is not None and kept:
        error_ms = round(kernel.error_s * 1000)
        seen[Source.KERNEL] = Sighting(source=Source.KERNEL, boot_ms=now_ms, utc_ms=utc_ms, uncertainty_ms=error_ms)
    for one in (rtc_sighting(since_epoch_s(), now_ms), files.hand()):
        if one is not None:
            seen[one.source] = one
    bounds = bounds or files.bounds()
    usable = [one for one in seen.values() if not bounds.doubt(now_ms + one.offset_ms, now_ms)]
    believed = best(usable, now_ms, kept=kept)
    return View(
        boot=boot_id().hex(),
        boot_ms=now_ms,
        wall_ms=utc_ms,
        bounds=bounds,
        sightings=tuple(seen.values()),
        believed=believed,
        why=_why(believed, kept=kept, seen=bool(seen)),
    )


def _why(believed: "Sighting | None", *, kept: bool, seen: bool) -> str:
    if believed is None:
        return "no source is plausible" if seen else "no source says anything; `gardu clock set TIME` can"
    if believed.source.value == "kernel":
        return "a time service keeps the machine's clock" if kept else "a time service kept the machine's clock before"
    return {
        "gnss": "a satellite receiver says so",
        "rtc": "the clock of the board says so, and nobody better",
        "hand": "a person set it, and nobody better speaks",
    }[believed.source.value]


def _span(ms: int) -> str:
    minutes, seconds = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    told = [f"{number} {unit}" for number, unit in parts if number][:2]
    return " ".join(told) or "0 s"


def _refuse(why: str, code: int) -> int:
    print(f"gardu clock: {why}", file=sys.stderr)
    return code
