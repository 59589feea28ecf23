"""A driver of a third party from the folder of added drivers: its code is imported when it is first used."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from drivers.driver import Driver, DriverInfo, OptionValue
from drivers.errors import AddedError
from drivers.guarded import Guarded
from drivers.io.vendor_folder import Package, trust, trusted_text
from drivers.serial.decoded import Decoded
from drivers.vendor import Vendor, accept, own_fault


class PackageDriver:
    """One driver of a package, imported when it is first used.

    Args:
        name: Its entry point.
        package: Where it is.
        owners: Numbers of the accounts that may own the files.
    """

    def __init__(self, name: str, package: Package, owners: frozenset[int]) -> None:
        self.name = name
        self.package = package
        self._owners = owners

    def __str__(self) -> str:
        return str(self.package)

    @cached_property
    def vendor(self) -> Vendor:
        """The class, imported and checked.

        Raises:
            AddedError: Others than root can change it, it cannot be imported, or it is no driver.
        """
        trust(self.package.folder, self._owners)
        return accept(self.name, self._import())

    def _import(self) -> object:
        module_name, _, path = self.package.entries[self.name].partition(":")
        folder = str(self.package.folder)
        if folder not in sys.path:
            sys.path.append(folder)  # last, so that it hides nothing
        try:
            found: object = importlib.import_module(module_name.strip())
            file = str(getattr(found, "__file__", None))
            for part in path.strip().split("."):
                found = getattr(found, part)
        except (Exception, SystemExit) as error:
            raise own_fault(self.name, error) from error
        if not Path(file).is_relative_to(self.package.folder):
            what = f"driver {self.name}: its module {module_name} is already that of {file}"
            raise AddedError(what, "tell its maker to give the module a name of its own")
        return found

    def info(self) -> DriverInfo:
        """What it says of itself.

        Raises:
            AddedError: It cannot be used.
        """
        return self.vendor.info

    def make(self, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Driver:
        """Make the driver of one sensor.

        Raises:
            OptionError: An option cannot be used.
            AddedError: It cannot be used.
        """
        return Guarded(self.vendor, sensor, options, every_s)

    def decode(self, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
        """Say what frames mean.

        Raises:
            OptionError: An option cannot be used.
            AddedError: It cannot be used.
        """
        return self.vendor.decode(options, frames)

    def prove(self) -> None:
        """Decode the vectors it came with.

        Raises:
            AddedError: One means something else, or it cannot be used.
        """
        from drivers.conformance.vectors import VectorsError, prove, read_vectors  # noqa: PLC0415 - not for the daemon

        path = self.package.vectors_file(self.name)
        try:
            prove(read_vectors(trusted_text(path, self._owners), self.name), self.vendor.decode)
        except VectorsError as error:
            raise AddedError(f"driver {self.name}: {path}: {error}", "tell its maker") from error
