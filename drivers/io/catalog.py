"""The registry with the profiles that are shipped beside the code."""

from functools import partial
from importlib.resources import files

from drivers.registry import Registry

_FOLDER = "profiles"
_SUFFIX = ".toml"


def registry() -> Registry:
    """All drivers of this installation; a profile is read when it is first needed."""
    folder = files("drivers.serial").joinpath(_FOLDER)
    return Registry(
        {
            entry.name.removesuffix(_SUFFIX): partial(entry.read_text, encoding="utf-8")
            for entry in folder.iterdir()
            if entry.name.endswith(_SUFFIX)
        }
    )
