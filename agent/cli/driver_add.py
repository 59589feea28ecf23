"""``gardu driver add``: a profile or a package of a third party into the folder of added drivers. Runs none of it."""

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drivers.io.vendor_folder import Package, Place
    from drivers.registry import Registry

_DONE = 0
_EPILOG = """\
examples:
  sudo gardu driver add soil_probe.toml           a Modbus profile; its vectors are run first
  sudo gardu driver add mcu680-1.0-py3-none-any.whl
  sudo gardu driver add mcu680/                   the folder of a package

A package is checked and copied, but none of its code runs until a sensor names it and [drivers] allow does.
exit code: 0 it is there, 2 refused (why and what to do: on stderr)"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", type=Path, help="profile (.toml), wheel, or folder of a package")
    parser.add_argument("--replace", action="store_true", help="in the stead of one that was added before")


def run(args: argparse.Namespace, drivers: "Registry") -> int:
    """Add one file.

    Raises:
        DriverError: It is refused.
    """
    from drivers.errors import AddedError  # noqa: PLC0415 - a command imports only what it needs
    from drivers.io.vendor_folder import place  # noqa: PLC0415

    where = place()
    try:
        _prepare(where)
        if args.file.suffix == ".toml" and not args.file.is_dir():
            _add_profile(args.file, where, drivers, replace=args.replace)
        else:
            _add_package(args.file, where, drivers, replace=args.replace)
    except BrokenPipeError:
        raise
    except PermissionError as error:
        what = f"{error.filename}: {error.strerror}"
        raise AddedError(what, f"only root may add drivers: sudo gardu driver add {args.file}") from error
    except OSError as error:
        raise AddedError(f"{error.filename}: {error.strerror or error}", "make it a folder of root's") from error
    return _DONE


def _prepare(where: "Place") -> None:
    """Make the folders, readable by all and written by none but the owner."""
    from drivers.io.vendor_folder import trust  # noqa: PLC0415

    for folder in (where.profiles, where.packages):
        for missing in [path for path in (*reversed(folder.parents), folder) if not path.exists()]:
            missing.mkdir()
            missing.chmod(0o755)  # whatever the umask: the agent's own account must get through
    trust(where.path, where.owners)


def _add_profile(file: Path, where: "Place", drivers: "Registry", *, replace: bool) -> None:
    from drivers.errors import AddedError  # noqa: PLC0415
    from drivers.serial.profile import load  # noqa: PLC0415
    from drivers.vendor import NAME  # noqa: PLC0415

    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise AddedError(f"{file}: {error}", "save it as UTF-8") from error
    info = load(text, file.stem).info
    if not NAME.fullmatch(info.name):
        raise AddedError(f"{file}: name {info.name!r} is not a-z, 0-9 and _, at most 32", "give it such a name")
    for name in (info.name, *info.models):
        _refuse_taken(name, drivers, f"{file}: ")
    if drivers.package_of(info.name):
        raise AddedError(f"{drivers.package_of(info.name)} has a driver {info.name!r} already", "rename this one")
    target = where.profiles / f"{info.name}.toml"
    if target.exists():
        if target.read_text("utf-8") == text:
            print(f"{target}: is there already, the same")
            return
        if not replace:
            raise AddedError(f"{target} is there and says something else", "compare them; --replace takes the new one")
    _write(target, text)
    proved = text.count("[[vector]]")
    print(f"{target}: added: {info.title or info.name}, {len(info.channels)} channels, {proved} vectors right")
    print(_section(info.name))


def _write(target: Path, text: str) -> None:
    """Write a file in one step: whoever reads meanwhile sees the old one or the new one."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=target.parent, prefix=".", delete=False) as file:
        file.write(text)
    made = Path(file.name)
    made.chmod(0o644)
    made.replace(target)


def _add_package(file: Path, where: "Place", drivers: "Registry", *, replace: bool) -> None:
    from drivers.errors import AddedError  # noqa: PLC0415
    from drivers.io.vendor_folder import package_in  # noqa: PLC0415
    from drivers.io.vendor_source import stage  # noqa: PLC0415

    with tempfile.TemporaryDirectory(dir=where.packages, prefix=".") as made:
        new = Path(made) / "new"
        new.mkdir()
        package = stage(file, new)
        for name in package.entries:
            _refuse_taken(name, drivers, f"{package}: ")
            if name in drivers.names():
                raise AddedError(f"{package}: a profile {name!r} was added before", "take that away, or rename one")
        target = where.packages / package.project
        _refuse_foreign(package, where)
        before = package_in(target) if target.exists() else None
        if target.exists():
            if not replace:
                what = f"{target} is there already: {before or 'something else'}"
                raise AddedError(what, f"--replace puts {package} in its stead")
            target.rename(Path(made) / "old")
        for path in (new, *new.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        new.rename(target)
    print(f"{target}: added: {package}, with {', '.join(sorted(package.entries))}; none of its code has run")
    first = min(package.entries)
    print(f"prove it:      gardu driver test {first}   (as an ordinary account: this runs its code)")
    print(f'let it run:    [drivers]\n               allow = ["{first}"]   (it then runs beside the signing key)')
    print(_section(first))


def _refuse_foreign(package: "Package", where: "Place") -> None:
    """Refuse drivers and modules that another added package has."""
    from drivers.errors import AddedError  # noqa: PLC0415
    from drivers.io.vendor_folder import packages, top_module  # noqa: PLC0415

    tops = {top_module(target) for target in package.entries.values()}
    for other in packages(where):
        both = (package.entries.keys() & other.entries.keys()) | (
            tops & {top_module(t) for t in other.entries.values()}
        )
        if other.project != package.project and both:
            raise AddedError(f"{package} and {other} both have {min(both)!r}", "take one away, or have it renamed")


def _refuse_taken(name: str, drivers: "Registry", whose: str) -> None:
    from drivers.errors import AddedError  # noqa: PLC0415

    if drivers.is_shipped(name):
        what = f"{whose}Gardu itself has a driver, profile or model called {name!r}"
        raise AddedError(what, f"`gardu driver show {name}` says whether that one does; else take another name")


def _section(name: str) -> str:
    return f'use it:        [sensor.{name.replace("_", "-")}]\n               driver = "{name}"'
