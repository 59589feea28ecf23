"""Writes a change of one sensor into the technician's files: checked first, the file of before kept beside it."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.cli.config_files import read_files
from agent.config.document import read
from agent.config.edit import EditError, change
from agent.config.finding import Finding, Findings
from agent.config.load import Parsed, parse
from agent.config.sensors import Drivers
from agent.errors import ConfigError

RELOAD = "sudo systemctl reload gardu"
"""How a changed configuration is made to run: the agent seals what it holds, ends, and systemd starts it anew."""

_BACKUP, _FRESH = ".bak", ".new"


class ChangeError(ConfigError):
    """A change cannot be made; nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change that passed the check and is not written yet.

    Attributes:
        path: The file that holds the sensor's section.
        before: What it holds.
        after: What it will hold.
        parsed: The whole configuration with it.
    """

    path: Path
    before: bytes
    after: bytes
    parsed: Parsed


def plan(main: Path, drivers: Drivers, sensor: str, keys: Mapping[str, str | None]) -> Change:
    """Change keys of a sensor in the file that holds its section, and check the whole.

    Args:
        main: The main file.
        drivers: All there are.
        sensor: Name of the sensor.
        keys: TOML text of the new value by key; None takes the key away.

    Raises:
        ChangeError: The sensor is nowhere, or `gardu check` would find something new that is wrong.
        Unreadable: A file cannot be read.
    """
    files = read_files(main)
    name = _file_of(files, sensor)
    before = dict(files)[name]
    try:
        after = change(before, sensor, keys)
    except EditError as error:
        raise ChangeError(f"{name}: {error}") from error
    parsed = parse([(file, after if file == name else data) for file, data in files], drivers)
    known = {_gist(finding) for finding in parse(files, drivers).problems}
    wrong = [one for one in parsed.problems if one.severity == "error" and _gist(one) not in known]
    if wrong:
        told = "\n".join(str(finding) for finding in wrong)
        raise ChangeError(f"nothing was written, because with this change `gardu check` would say:\n{told}")
    return Change(path=Path(name), before=before, after=after, parsed=parsed)


def write(made: Change) -> Path:
    """Put a change in place, whole or not at all, also through a power cut; return the copy of the file of before.

    Raises:
        ChangeError: Somebody wrote the file meanwhile.
        OSError: The folder or the disk refuses.
    """
    path = made.path.resolve()
    state = path.stat()
    backup = path.with_name(path.name + _BACKUP)
    fresh = path.with_name(path.name + _FRESH)
    _put(fresh, made.before, state)
    fresh.replace(backup)
    _put(fresh, made.after, state)
    if path.read_bytes() != made.before:
        fresh.unlink()
        raise ChangeError(f"{path} was changed by somebody else meanwhile; look at it and try again")
    fresh.replace(path)
    _sync(path.parent)
    return backup


def _file_of(files: list[tuple[str, bytes]], sensor: str) -> str:
    sensors = read(files, Findings()).keys.get("sensor")
    section = None if sensors is None else sensors.table().get(sensor)
    if section is None:
        there = ", ".join(() if sensors is None else sensors.table())
        raise ChangeError(f"no sensor is called {sensor!r}; there are: {there or 'none'}")
    return section.file


def _gist(finding: Finding) -> tuple[str, str, str]:
    """Return a finding without its place, which a change above it moves."""
    return finding.file, finding.what, finding.given


def _put(path: Path, data: bytes, state: os.stat_result) -> None:
    """Write a file with owner and rights of another, synced."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()  # left by a power cut
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if os.geteuid() == 0:
            os.fchown(descriptor, state.st_uid, state.st_gid)
        os.fchmod(descriptor, state.st_mode & 0o7777)
        os.fsync(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
