"""Finds and reads the files of a configuration: the main file, then those of ``conf.d`` beside it."""

import os
from pathlib import Path

from agent.errors import ConfigError

STANDARD = "/etc/gardu/agent.toml"
"""The main file where none is named."""

VARIABLE = "GARDU_CONFIG"
"""Environment variable that names another main file."""


class Unreadable(ConfigError):  # noqa: N818 - the word of the field
    """A file of the configuration cannot be read.

    Attributes:
        path: Of the file.
        reason: Why, in the words of the system.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def main_file(named: str | None) -> Path:
    """Return the main file: the one that is named, else that of the environment, else the standard one."""
    return Path(named or os.environ.get(VARIABLE) or STANDARD)


def read_files(main: Path) -> list[tuple[str, bytes]]:
    """Return name and content of the main file and of ``conf.d/*.toml`` beside it, the latter in order of name.

    Raises:
        Unreadable: A file is missing or may not be read.
    """
    path = main
    try:
        files = [(str(main), main.read_bytes())]
        path = main.parent / "conf.d"
        parts = sorted(part for part in path.iterdir() if part.suffix == ".toml") if path.is_dir() else []
        for path in parts:
            files.append((str(path), path.read_bytes()))
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error)) from error
    return files
