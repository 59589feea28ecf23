"""``gardu driver test``: the conformance kit on a package, a profile or what was added, without a test runner."""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.quality import Judge
    from drivers.conformance.subject import Scale, Subject
    from drivers.driver import Driver, DriverInfo, OptionValue
    from drivers.io.vendor_package import PackageDriver
    from drivers.registry import Registry
    from drivers.serial.decoded import Decoded

_PASSED, _FAILED = 0, 1
_SIGNS = {"pass": "ok", "n/a": "-", "fail": "FAIL"}
_EPILOG = """\
examples:
  gardu driver test mcu680/                       a folder: the code of a package and its vectors.json
  gardu driver test mcu680-1.0-py3-none-any.whl
  gardu driver test soil_probe.toml
  gardu driver test mcu680                        what was added

This runs the code of the package; nothing of it is sandboxed, so do not do it as root.
exit code: 0 every check passes or does not apply, 1 one fails, 2 it cannot be tried"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("what", metavar="PACKAGE", help="folder, wheel, profile (.toml), or name of what was added")
    parser.add_argument("--full", action="store_true", help="a megabyte of noise, a million frames: minutes")
    parser.add_argument("--json", action="store_true", help="for programs: one object for each driver and check")


def run(args: argparse.Namespace, drivers: "Registry") -> int:
    """Run the kit.

    Raises:
        DriverError: It cannot be tried.
    """
    from drivers.conformance.kit import KIT, check  # noqa: PLC0415 - a command imports only what it needs
    from drivers.conformance.subject import FULL, QUICK  # noqa: PLC0415

    failed = 0
    with _subjects(args.what, drivers, FULL if args.full else QUICK) as subjects:
        for subject in subjects:
            if not args.json:
                print(f"{subject.name}: {len(subject.vectors)} vectors")
            for name in KIT:
                result = check(name, subject)
                failed += result.outcome == "fail"
                if args.json:
                    facts = {"driver": subject.name, "check": name, "outcome": result.outcome, "words": result.words}
                    print(json.dumps(facts, ensure_ascii=False), flush=True)
                else:
                    does = (KIT[name].__doc__ or "").partition("\n")[0]
                    print(f"  {name:<4}{_SIGNS[result.outcome]:<5}{does}", flush=True)
                    if result.words:
                        print(f"           {'does not apply: ' if result.outcome == 'n/a' else ''}{result.words}")
    if not args.json:
        print("all that applies passes" if not failed else f"{failed} failed")
    return _FAILED if failed else _PASSED


@contextmanager
def _subjects(what: str, drivers: "Registry", scale: "Scale") -> Iterator[list["Subject"]]:
    """Drivers to test; a package that was not added stands unpacked for so long."""
    from drivers.io.vendor_folder import packages, place  # noqa: PLC0415
    from drivers.io.vendor_package import PackageDriver  # noqa: PLC0415
    from drivers.io.vendor_source import stage  # noqa: PLC0415

    path = Path(what)
    if path.suffix == ".toml" and not path.is_dir():
        yield [_of_profile(path, scale)]
        return
    if path.exists():
        with tempfile.TemporaryDirectory(prefix="gardu-driver-") as made:
            package = stage(path, Path(made).resolve())
            mine = frozenset({os.geteuid()})
            yield [_of_package(PackageDriver(name, package, mine), scale) for name in sorted(package.entries)]
        return
    where = place()
    for package in packages(where):
        names = [what] if what in package.entries else sorted(package.entries) if what == package.project else []
        if names:
            yield [_of_package(PackageDriver(name, package, where.owners), scale) for name in names]
            return
    yield [_of_name(what, drivers, scale)]


def _of_package(driver: "PackageDriver", scale: "Scale") -> "Subject":
    """A driver without its guard: here an exception must be seen."""
    from drivers.conformance.subject import Subject  # noqa: PLC0415
    from drivers.conformance.vectors import read_vectors  # noqa: PLC0415

    vendor = driver.vendor
    return Subject(
        driver.name,
        make=lambda options: vendor.construct("s", options, None),
        decode=partial(_decode, vendor.construct),
        vectors=read_vectors(driver.package.vectors_file(driver.name).read_text("utf-8"), driver.name),
        commands=[command.pattern for command in vendor.commands],
        doubter=_doubter,
        scale=scale,
        cpu_s=time.process_time,
    )


def _decode(
    construct: "Callable[[str, Mapping[str, OptionValue], float | None], Driver]",
    options: "Mapping[str, OptionValue]",
    frames: "Sequence[bytes]",
) -> "Decoded":
    decode: Callable[[Sequence[bytes]], Decoded] = getattr(construct("s", options, None), "decode")  # noqa: B009 - checked
    return decode(frames)


def _of_profile(path: Path, scale: "Scale") -> "Subject":
    from drivers.errors import AddedError  # noqa: PLC0415

    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AddedError(f"{path}: {getattr(error, 'strerror', None) or error}", "name a profile in TOML") from error
    return _of_text(text, path.stem, scale)


def _of_name(name: str, drivers: "Registry", scale: "Scale") -> "Subject":
    from drivers.errors import AddedError, UnknownDriver  # noqa: PLC0415

    info = drivers.info(name)
    try:
        return _of_text(drivers.profile_text(info.name), info.name, scale)
    except UnknownDriver:
        what = f"{name} is shipped with Gardu, its frames are not"
        raise AddedError(what, "in the source of Gardu `make conformance` tests all that is shipped") from None


def _of_text(text: str, origin: str, scale: "Scale") -> "Subject":
    from drivers.conformance.subject import Subject  # noqa: PLC0415
    from drivers.conformance.vectors import profile_vectors  # noqa: PLC0415
    from drivers.serial.modbus_decode import decode_profile  # noqa: PLC0415
    from drivers.serial.profile import load  # noqa: PLC0415
    from drivers.serial.rtu import sealed  # noqa: PLC0415

    profile = load(text, origin)
    return Subject(
        profile.info.name,
        make=lambda options: profile.make("s", options, None),
        decode=lambda options, frames: decode_profile(profile.info.name, profile, options, frames),
        vectors=profile_vectors(text, profile.info),
        commands=[rb".[\x01-\x04].{6}"],
        doubter=_doubter,
        refuse=lambda request: sealed(bytes((request[0], request[1] | 0x80, 2))),
        scale=scale,
    )


def _doubter(info: "DriverInfo") -> "Judge":
    from agent.quality import Judge, SensorRules  # noqa: PLC0415

    rules = SensorRules(
        channels={channel.name: channel for channel in info.channels},
        warmup_s=info.warmup_s,
        stale_after_s=info.stale_after_s,
        confirm=info.confirm,
        integrity=info.integrity,
    )
    return Judge({"s": rules})
