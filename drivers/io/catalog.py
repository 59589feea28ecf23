"""The registry with the profiles that are shipped beside the code."""

from functools import partial
from pathlib import Path

import drivers.serial
from drivers.registry import Registry

# A plain path and not importlib.resources, whose readers of zip archives cost a megabyte; a release is unzipped.
_FOLDER = Path(drivers.serial.__path__[0]) / "profiles"


def registry() -> Registry:
    """All drivers of this installation; a profile is read when it is first needed."""
    return Registry({path.stem: partial(path.read_text, "utf-8") for path in sorted(_FOLDER.glob("*.toml"))})
