"""The registry with the profiles that are shipped beside the code, and what was added to this box."""

from functools import partial
from pathlib import Path

import drivers.serial
from drivers.io.vendor_folder import Place, packages, place, profiles, trusted_text
from drivers.registry import Package, Registry

# A plain path and not importlib.resources, whose readers of zip archives cost a megabyte; a release is unzipped.
_FOLDER = Path(drivers.serial.__path__[0]) / "profiles"


def registry(where: Place | None = None) -> Registry:
    """All drivers of this installation; a profile is read, a package imported when it is first needed.

    Args:
        where: Folder of added drivers; that of this box by default.
    """
    where = where or place()
    return Registry(
        {path.stem: partial(path.read_text, "utf-8") for path in sorted(_FOLDER.glob("*.toml"))},
        {path.stem: partial(trusted_text, path, where.owners) for path in profiles(where)},
        _packages(where),
    )


def _packages(where: Place) -> dict[str, Package]:
    found = [(name, package) for package in packages(where) for name in package.entries]
    if not found:
        return {}
    from drivers.io.vendor_package import PackageDriver  # noqa: PLC0415 - memory that only a package is worth

    return {name: PackageDriver(name, package, where.owners) for name, package in found}
