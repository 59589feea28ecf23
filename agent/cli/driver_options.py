"""Options of a driver as they are given on the command line: ``name=value``."""

from collections.abc import Sequence

from drivers.driver import DriverInfo, OptionValue
from drivers.errors import OptionError


def read_options(info: DriverInfo, given: Sequence[str]) -> dict[str, OptionValue]:
    """Read the pairs; a value is text, a quantity, or as it would stand in TOML.

    Raises:
        OptionError: One is no pair.
    """
    options: dict[str, OptionValue] = {}
    kinds = {option.name: option.kind for option in info.options}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals:
            raise OptionError(f"--option {pair}", "write it as name=value")
        plain = kinds.get(key.strip()) in ("text", "quantity", None) and not value.startswith(('"', "'"))
        options[key.strip()] = value if plain else _toml(value)
    return options


def _toml(text: str) -> OptionValue:
    """A value as it would stand in TOML; text that is none stays text."""
    import tomli  # noqa: PLC0415 - memory that only an option is worth

    try:
        value: OptionValue = tomli.loads(f"value = {text}")["value"]
    except tomli.TOMLDecodeError:
        return text
    return value
