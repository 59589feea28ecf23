"""The folder of added drivers: profiles, and packages of third parties. Only root may write there.

Below it stand ``profiles/NAME.toml`` and ``packages/PROJECT/``, an unpacked wheel each. A package is found by the names
in its metadata; its code is imported when a sensor names the driver, and only if nobody but root can have changed it.
"""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drivers.errors import AddedError

STANDARD = "/usr/local/lib/gardu/drivers"
"""Where added drivers are: outside the slots of the releases, which an update replaces."""

VARIABLE = "GARDU_DRIVERS"
"""Environment variable that names another folder; that one may belong to the account that runs, too."""

GROUP = "gardu.drivers"
"""Group of the entry points."""

VECTORS = "vectors.json"
"""Name of the file of a package that holds its frames."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_MOST_FILES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder of added drivers.

    Attributes:
        path: Where.
        owners: Numbers of the accounts that may own what stands in it.
    """

    path: Path
    owners: frozenset[int]

    @property
    def profiles(self) -> Path:
        """Folder of the profiles."""
        return self.path / "profiles"

    @property
    def packages(self) -> Path:
        """Folder of the packages."""
        return self.path / "packages"


def place() -> Place:
    """The folder of this box: the standard one, or that of the environment."""
    named = os.environ.get(VARIABLE)
    if named:
        return Place(path=Path(named).resolve(), owners=frozenset({0, os.geteuid()}))
    return Place(path=Path(STANDARD), owners=frozenset({0}))


def trust(path: Path, owners: frozenset[int]) -> None:
    """See that only an owner can change a file, or a folder and all in it, or put another in its stead.

    Raises:
        AddedError: Somebody else can, or it is not there.
    """
    for part in (path, *path.parents):
        _trust_one(part, owners, above=part != path)
    for count, part in enumerate(path.rglob("*") if path.is_dir() else ()):
        if count >= _MOST_FILES:
            raise AddedError(f"{path} holds more than {_MOST_FILES} files", "take it away")
        _trust_one(part, owners)


def _trust_one(path: Path, owners: frozenset[int], *, above: bool = False) -> None:
    try:
        found = path.lstat()
    except OSError as error:
        raise AddedError(f"{path}: {error.strerror or error}", "`gardu driver list` shows what is there") from error
    if stat.S_ISLNK(found.st_mode):
        raise AddedError(f"{path} is a link", "put the file itself there: `gardu driver add FILE`")
    if found.st_uid not in owners | {0}:
        raise AddedError(f"{path} belongs to account {found.st_uid}, not to root", f"chown -R root:root {path}")
    shared = above and stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX  # /tmp: nobody moves what is root's
    if found.st_mode & _OTHERS_WRITE and not shared:
        mode = stat.S_IMODE(found.st_mode)
        raise AddedError(f"others than root may write {path} (mode {mode:o})", f"chmod -R go-w {path}")


def trusted_text(path: Path, owners: frozenset[int]) -> str:
    """Read a file that only an owner can have changed.

    Raises:
        AddedError: Somebody else can, or it cannot be read.
    """
    trust(path, owners)
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AddedError(f"{path}: {getattr(error, 'strerror', None) or error}", "add it again") from error


def entry_points(text: str) -> dict[str, str]:
    """Return the drivers that an ``entry_points.txt`` names: name and ``module:class``."""
    found: dict[str, str] = {}
    group = ""
    for line in (line.strip() for line in text.splitlines()):
        if line.startswith("["):
            group = line.strip("[]").strip()
        elif group == GROUP and "=" in line and not line.startswith(("#", ";")):
            name, _, target = line.partition("=")
            found[name.strip()] = target.strip()
    return found


@dataclass(frozen=True)
class Package:
    """A package of a third party as its metadata tells it; none of its code has run.

    Attributes:
        folder: Where it stands, unpacked.
        project: Its name, as packages are called.
        version: Of it.
        entries: Its drivers: name and ``module:class``.
    """

    folder: Path
    project: str
    version: str
    entries: Mapping[str, str]

    def __str__(self) -> str:
        return f"package {self.project} {self.version}"

    def vectors_file(self, name: str) -> Path:
        """Where the vectors of one of its drivers stand."""
        return self.folder / top_module(self.entries[name]) / VECTORS


def top_module(target: str) -> str:
    """The outermost module of ``module:class``."""
    return target.partition(":")[0].partition(".")[0].strip()


def package_in(folder: Path) -> Package | None:
    """Return the package that stands unpacked in a folder; None when there is none."""
    for found in sorted(folder.glob("*.dist-info")):
        project, _, version = found.name.removesuffix(".dist-info").partition("-")
        try:
            entries = entry_points((found / "entry_points.txt").read_text("utf-8"))
        except (OSError, UnicodeDecodeError):
            continue
        return Package(folder=folder, project=project, version=version, entries=entries)
    return None


def packages(where: Place) -> Iterator[Package]:
    """Return all packages that were added, by project."""
    for folder in _entries(where.packages):
        if not folder.name.startswith(".") and (found := package_in(folder)) is not None:
            yield found


def profiles(where: Place) -> Iterator[Path]:
    """Return the files of all profiles that were added."""
    return (path for path in _entries(where.profiles) if path.suffix == ".toml")


def _entries(folder: Path) -> Sequence[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return ()  # nothing was ever added, or this account may not see it
