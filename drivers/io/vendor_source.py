"""Packages of third parties as they come, a wheel or a folder with ``pyproject.toml``, unpacked. Runs none of it."""

import shutil
import stat
import sys
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import tomli

from drivers.conformance.vectors import VectorsError, read_vectors
from drivers.errors import AddedError
from drivers.io.vendor_folder import GROUP, Package, package_in, top_module
from drivers.vendor import NAME

_MOST_BYTES = 4 << 20
_MOST_FILES = 500
_ASK = "ask its maker for a version without"


def stage(source: Path, into: Path) -> Package:
    """Unpack a wheel or copy a folder to where its code could be imported, and check what can be without running it.

    Args:
        source: The wheel, or the folder.
        into: A folder that is empty.

    Raises:
        AddedError: It is no package of drivers, or not one that can be added.
    """
    try:
        _copy(source, into) if source.is_dir() else _unzip(source, into)
        package = package_in(into)
    except OSError as error:
        raise AddedError(f"{source}: {error.strerror or error}", "give a wheel, or the folder of a package") from error
    if package is None or not package.entries:
        what = f'{source} names no driver: no entry point in the group "{GROUP}"'
        raise AddedError(what, f'in pyproject.toml: [project.entry-points."{GROUP}"], then NAME = "MODULE:CLASS"')
    for name, target in package.entries.items():
        _check_entry(package, name, target)
    return package


def is_taken(module: str) -> bool:
    """Whether Python, Gardu or what it stands on has a module of this name."""
    return module in sys.stdlib_module_names or find_spec(module) is not None


def _check_entry(package: Package, name: str, target: str) -> None:
    if not NAME.fullmatch(name):
        raise AddedError(f"driver {name!r}: a name is a-z, 0-9 and _, at most 32", "its maker must rename it")
    top = top_module(target)
    if not target.partition(":")[2] or not (package.folder / top / "__init__.py").is_file():
        what = f"driver {name}: {target!r} is not like package:Class with a folder {top or 'package'}/__init__.py"
        raise AddedError(what, "its maker must correct the entry point")
    if is_taken(top):
        raise AddedError(f"driver {name}: a module {top} is there already", "its maker must rename it")
    path = package.vectors_file(name)
    try:
        read_vectors(path.read_text("utf-8"), name)
    except (OSError, UnicodeDecodeError) as error:
        what = f"driver {name} comes without {top}/{path.name}: no frame proves it"
        raise AddedError(what, "its maker must add it: docs/drivers.md") from error
    except VectorsError as error:
        raise AddedError(f"driver {name}: {top}/{path.name}: {error}", "its maker must correct it") from error


def _unzip(source: Path, into: Path) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            files = [one for one in archive.infolist() if not one.is_dir()]
            if len(files) > _MOST_FILES or sum(one.file_size for one in files) > _MOST_BYTES:
                raise AddedError(
                    f"{source} is larger than {_MOST_FILES} files or {_MOST_BYTES >> 20} MiB", _ASK + " it"
                )
            for one in files:
                _check_file(PurePosixPath(one.filename), is_link=stat.S_ISLNK(one.external_attr >> 16))
            archive.extractall(into)
    except zipfile.BadZipFile as error:
        raise AddedError(f"{source} is neither a wheel nor a folder nor a .toml", "give one of these") from error
    _check_wheel(source, into)


def _check_file(path: PurePosixPath, *, is_link: bool = False) -> None:
    if path.is_absolute() or ".." in path.parts or is_link:
        raise AddedError(f"{path} would leave its folder", "do not use this package")
    if path.suffix in {".so", ".pyd", ".pth"} or any(part.endswith(".data") for part in path.parts):
        raise AddedError(f"{path} is not plain Python", f"{_ASK} compiled code and without files outside the package")


def _check_wheel(source: Path, into: Path) -> None:
    for file in into.glob("*.dist-info/METADATA"):
        for line in file.read_text("utf-8", "replace").partition("\n\n")[0].splitlines():
            key, _, needed = line.partition(":")
            if key.lower() == "requires-dist" and "extra ==" not in needed and "extra==" not in needed:
                _refuse_dependency(source, needed.strip())


def _refuse_dependency(source: Path, needed: str) -> None:
    raise AddedError(f"{source} needs {needed}, and nothing is installed besides it", f"{_ASK} dependencies")


def _copy(source: Path, into: Path) -> None:
    """Lay out a folder of source as its wheel would, without a build."""
    path = source / "pyproject.toml"
    try:
        project = _table(tomli.loads(path.read_text("utf-8")), "project")
    except (OSError, UnicodeDecodeError, tomli.TOMLDecodeError) as error:
        raise AddedError(f"{path}: {getattr(error, 'strerror', None) or error}", "give a wheel instead") from error
    entries = {name: str(target) for name, target in _table(_table(project, "entry-points"), GROUP).items()}
    name, version = str(project.get("name", "")), str(project.get("version", ""))
    if not name or not version:
        raise AddedError(f"{path} says no name or no version under [project]", "write both")
    needed = project.get("dependencies")
    if isinstance(needed, list) and needed:
        _refuse_dependency(source, str(needed[0]))
    for top in {top_module(target) for target in entries.values()}:
        found = next((one for one in (source / top, source / "src" / top) if top and one.is_dir()), None)
        if found is not None:
            _copy_tree(found, into / top)
    metadata = into / f"{name.lower().replace('-', '_').replace('.', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
    lines = "".join(f"{entry} = {target}\n" for entry, target in entries.items())
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}", "utf-8")


def _copy_tree(source: Path, into: Path) -> None:
    count = size = 0
    for path in source.rglob("*"):
        if path.is_dir() or "__pycache__" in path.parts:
            continue
        inner = path.relative_to(source)
        _check_file(PurePosixPath(inner), is_link=path.is_symlink())
        count, size = count + 1, size + path.stat().st_size
        if count > _MOST_FILES or size > _MOST_BYTES:
            raise AddedError(f"{source} is larger than {_MOST_FILES} files or {_MOST_BYTES >> 20} MiB", _ASK + " it")
        (into / inner).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, into / inner)


def _table(table: Mapping[str, object], key: str) -> dict[str, object]:
    found = table.get(key)
    return {str(name): value for name, value in found.items()} if isinstance(found, dict) else {}
