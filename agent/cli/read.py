"""``gardu read``: a sample of the sensors now, through the daemon when it runs, else straight from the ports."""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.config.model import Config
    from drivers.reading import Reading
    from drivers.registry import Registry

_WITHIN_S = 10.0
_GREETING_S = 2.0
_FRESH_S = 30.0  # an older last reading of a unit that reports each second is no sample of now
_FRESH_PERIODS = 3
_ALL, _SOME, _UNREADABLE = 0, 1, 2

_EPILOG = """\
examples:
  gardu read                 one sample of every sensor, and of the node itself
  gardu read air --follow    every reading of one sensor as it comes
  gardu read --json | jq     SenML (RFC 8428)

exit code: 0 every sensor answered, 1 some did not, 2 the configuration cannot be used"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("sensor", nargs="?", help="only this one; `host` is the node itself")
    parser.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="SenML; with --follow one pack per line")
    parser.add_argument("--config", metavar="PATH", help="main file, default /etc/gardu/agent.toml")
    parser.add_argument("--within", type=float, default=_WITHIN_S, metavar="S", help="longest wait, default 10 s")


def run(args: argparse.Namespace) -> int:
    """Read the sensors and print what they say."""
    import logging  # noqa: PLC0415 - a command imports only what it needs

    from agent.cli.config_files import main_file, read_files  # noqa: PLC0415
    from agent.config.load import parse  # noqa: PLC0415
    from agent.errors import AgentError  # noqa: PLC0415
    from drivers.io.catalog import registry  # noqa: PLC0415

    drivers = registry()
    path = main_file(args.config)
    try:
        parsed = parse(read_files(path), drivers)
    except AgentError as error:
        return _refuse(str(error))
    wrong = [finding for finding in parsed.problems if finding.severity == "error"]
    for finding in wrong:
        _tell(str(finding))
    if parsed.config is None:
        return _UNREADABLE
    names = [sensor.name for sensor in parsed.config.sensors] + ["host"] * parsed.config.host.enabled
    if args.sensor is not None:
        if args.sensor not in names:
            return _refuse(f"no sensor is called {args.sensor!r} in {path}; there are: {', '.join(names)}")
        names = [args.sensor]
    if not names:
        return _refuse(f"{path} names no sensor")
    command = Command(parsed.config, drivers, names, as_json=args.json, within_s=args.within)
    # A single sample tells its trouble per sensor at the end; who follows wants to know it when it happens.
    trouble = logging.StreamHandler() if args.follow else logging.NullHandler()
    logging.getLogger("agent").addHandler(trouble)
    try:
        code = asyncio.run(command.follow() if args.follow else command.once())
    finally:
        logging.getLogger("agent").removeHandler(trouble)
    return _SOME if wrong and args.sensor is None else code


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One reading as the daemon tells it: a SenML record and the flags behind it."""

    pack: tuple[dict[str, object], ...]

    @property
    def sensor(self) -> str:
        """Name of its sensor."""
        return str(self.pack[0].get("n", "")).partition("/")[0]

    @property
    def ago_s(self) -> float:
        """Its age when it was told."""
        t = self.pack[0].get("t", 0)
        return -t if isinstance(t, int | float) else 0.0

    def text(self) -> str:
        """Return one line for people."""
        record, *flags = self.pack
        value = record.get("v", record.get("vs", record.get("vb")))
        doubts = " ".join(str(flag.get("vs")) for flag in flags)
        age = f"{self.ago_s:.1f} s ago" if self.ago_s >= 1 else "now"
        unit = "" if record.get("u") == "1" else record.get("u", "")
        return f"{record.get('n')!s:<28} {value!s:>14} {unit!s:<6} {age:<12} {doubts}".rstrip()


class Command:
    """One run of the command."""

    def __init__(
        self, config: "Config", registry: "Registry", names: Sequence[str], *, as_json: bool, within_s: float
    ) -> None:
        self._config = config
        self._registry = registry
        self._names = names
        self._as_json = as_json
        self._within_s = within_s
        self._socket = Path(config.run_folder) / "readings.sock"

    async def once(self) -> int:
        """Print one sample of each sensor."""
        try:
            heard, troubles = await self._ask_daemon()
        except PermissionError:
            return _refuse(f"the daemon runs, but you may not read {self._socket}: add your user to its group")
        except OSError:
            heard, troubles = await self._ask_ports()
        if self._as_json:
            print(json.dumps([record for one in heard for record in one.pack], ensure_ascii=False))
        else:
            for one in heard:
                print(one.text())
        for name, trouble in troubles.items():
            _tell(f"{name}: {trouble}")
        return _SOME if troubles else _ALL

    async def follow(self) -> int:
        """Print readings until stopped."""
        try:
            async with aclosing(listen(self._socket)) as packs:
                async for pack in packs:
                    if pack and (one := Heard(pack=pack)).sensor in self._names:
                        self._print(one)
        except PermissionError:
            return _refuse(f"the daemon runs, but you may not read {self._socket}: add your user to its group")
        except OSError:
            return await self._follow_ports()
        _tell("the daemon has ended")
        return _SOME

    def _print(self, one: Heard) -> None:
        print(json.dumps(one.pack, ensure_ascii=False) if self._as_json else one.text(), flush=True)

    async def _ask_daemon(self) -> tuple[list[Heard], dict[str, str]]:
        """Listen until each sensor has said something recent, and its last readings are complete."""
        last: dict[object, Heard] = {}
        missing = set(self._names)
        told_all = False
        try:
            async with asyncio.timeout(self._within_s), aclosing(listen(self._socket)) as packs:
                async for pack in packs:
                    told_all = told_all or not pack
                    if pack and (one := Heard(pack=pack)).sensor in self._names:
                        last[pack[0].get("n")] = one
                        if one.ago_s <= self._fresh_s(one.sensor):
                            missing.discard(one.sensor)
                    if told_all and not missing:
                        break
        except TimeoutError:
            pass  # told per sensor below
        trouble = (
            f"the daemon got nothing of it in the last {self._within_s:g} s; its log says why: journalctl -u gardu"
        )
        heard = [one for one in last.values() if one.sensor not in missing]
        heard.sort(key=lambda one: self._names.index(one.sensor))
        return heard, {name: trouble for name in self._names if name in missing}

    def _fresh_s(self, name: str) -> float:
        if name == "host":
            return max(_FRESH_S, _FRESH_PERIODS * max(self._config.host.every_s, 60.0))
        every_s = next((sensor.every_s for sensor in self._config.sensors if sensor.name == name), None)
        return max(_FRESH_S, _FRESH_PERIODS * (every_s or 0))

    async def _ask_ports(self) -> tuple[list[Heard], dict[str, str]]:
        from agent.cli.sampling import Sampler  # noqa: PLC0415 - only when no daemon answers

        sampled = await Sampler(self._config, self._registry, self._names).sample(self._within_s)
        heard = [_heard(reading) for one in sampled for reading in one.readings.values()]
        return heard, {one.sensor: one.trouble for one in sampled if one.trouble}

    async def _follow_ports(self) -> int:
        from agent.cli.sampling import Sampler  # noqa: PLC0415 - only when no daemon answers

        def show(reading: "Reading") -> None:
            self._print(_heard(reading))

        await Sampler(self._config, self._registry, self._names, tell=show).follow()
        return _SOME


async def listen(path: Path) -> AsyncGenerator[tuple[dict[str, object], ...], None]:
    """Yield the packs a daemon tells on its socket; an empty one ends the last readings of each channel.

    Raises:
        OSError: No daemon answers there.
    """
    async with asyncio.timeout(_GREETING_S):
        reader, writer = await asyncio.open_unix_connection(path)
    try:
        while line := await reader.readline():
            yield tuple(json.loads(line))
    finally:
        writer.close()


def _heard(reading: "Reading") -> Heard:
    from agent.readings_socket import pack_line  # noqa: PLC0415 - only when no daemon answers
    from drivers.io.serial_port import boot_clock_ns  # noqa: PLC0415

    return Heard(pack=tuple(json.loads(pack_line(reading, boot_clock_ns()))))


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _refuse(text: str) -> int:
    _tell(f"gardu read: {text}")
    return _UNREADABLE
