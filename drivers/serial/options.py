"""Options of a driver: what the technician wrote, checked against what the driver declares."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from drivers.driver import DriverInfo, Line, Option, OptionValue
from drivers.errors import OptionError
from drivers.quantity import QuantityError, amount

_MISSES = 3.5  # intervals without a reading after which a unit counts as stale
_LINE = re.compile(r"(\d{2,7})[ ,]+([5-8])([NEO])([12])((?:[ ,]+NO[ ,]+(?:DTR|RTS))*)")


def quantity(text: str, unit: str) -> float | None:
    """Read ``"4.20 m"`` in ``unit``; None when it is no quantity of that kind."""
    try:
        return float(amount(text, unit, span=True))
    except QuantityError:
        return None


def parse_line(text: str) -> Line | None:
    """Read line settings such as ``9600 8N1`` or ``2400 8N1 no RTS``; None when they are not that."""
    match = _LINE.fullmatch(text.strip().upper())
    if match is None:
        return None
    parity = match[3]
    return Line(
        baud=int(match[1]),
        data_bits=int(match[2]),
        parity="E" if parity == "E" else "O" if parity == "O" else "N",
        stop_bits=int(match[4]),
        dtr="DTR" not in match[5],
        rts="RTS" not in match[5],
    )


class Options:
    """Checked options of one sensor; a missing one reads as its default.

    Raises:
        OptionError: An option is unknown, missing, of another kind or outside its limits.
    """

    __slots__ = ("_known", "_values")

    def __init__(self, info: DriverInfo, given: Mapping[str, OptionValue]) -> None:
        self._known = {option.name: option for option in info.options}
        self._values: dict[str, OptionValue] = {}
        for name, value in given.items():
            option = self._known.get(name)
            if option is None:
                near = _near(name, self._known)
                allowed = ", ".join(self._known) or "none"
                hint = f"did you mean {near[0]}?" if near else f"{info.name} takes: {allowed}"
                raise OptionError(name, f"unknown option; {hint}")
            _check(option, value)
            self._values[name] = value
        for option in info.options:
            if option.required and option.name not in given:
                hint = f", e.g. {option.name} = {option.example}" if option.example else ""
                raise OptionError(option.name, f"missing; {info.name} needs it{hint}")

    def _value(self, name: str) -> OptionValue | None:
        return self._values.get(name, self._known[name].default)

    def given(self, name: str) -> bool:
        """Whether the technician wrote it."""
        return name in self._values

    def text(self, name: str) -> str:
        """A text; empty when absent."""
        value = self._value(name)
        return value if isinstance(value, str) else ""

    def integer(self, name: str) -> int | None:
        """An integer."""
        value = self._value(name)
        return value if isinstance(value, int) else None

    def flag(self, name: str) -> bool:
        """A boolean; False when absent."""
        return self._value(name) is True

    def quantity(self, name: str) -> float | None:
        """A quantity in the unit that the option declares."""
        value = self._value(name)
        return quantity(value, self._known[name].unit) if isinstance(value, str) else None

    def items(self, name: str) -> Sequence[OptionValue]:
        """A list; empty when absent."""
        value = self._value(name)
        return value if isinstance(value, Sequence) and not isinstance(value, str) else ()

    def table(self, name: str) -> Mapping[str, OptionValue]:
        """A table; empty when absent."""
        value = self._value(name)
        return value if isinstance(value, Mapping) else {}


def _check(option: Option, value: OptionValue) -> None:
    number: float | None = None
    match option.kind:
        case "text":
            fits = isinstance(value, str)
        case "integer":
            fits = isinstance(value, int) and not isinstance(value, bool)
            number = value if isinstance(value, int) else None
        case "number":
            fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            number = value if isinstance(value, int | float) else None
        case "boolean":
            fits = isinstance(value, bool)
        case "quantity":
            number = quantity(value, option.unit) if isinstance(value, str) else None
            fits = number is not None
        case "list":
            fits = isinstance(value, Sequence) and not isinstance(value, str)
        case "table":  # pragma: no branch - mypy holds this list complete
            fits = isinstance(value, Mapping)
    if not fits:
        what = f"a quantity in {option.unit}" if option.kind == "quantity" else f"a {option.kind}"
        hint = f", e.g. {option.example}" if option.example else ""
        raise OptionError(option.name, f"{value!r} is not {what}{hint}")
    if option.choices and value not in option.choices:
        near = _near(str(value), option.choices)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise OptionError(option.name, f"{value!r} is not one of {', '.join(option.choices)}{hint}")
    low = -math.inf if option.low is None else option.low
    high = math.inf if option.high is None else option.high
    if number is not None and not low <= number <= high:
        unit = f" {option.unit}" if option.unit else ""
        raise OptionError(option.name, f"{value!r} is outside {low:g}{unit} to {high:g}{unit}")


def _near(word: str, known: Iterable[str]) -> list[str]:
    import difflib  # noqa: PLC0415 - memory that only a mistyped word is worth

    return difflib.get_close_matches(word, known, n=1)


def paced(info: DriverInfo, every_s: float | None) -> DriverInfo:
    """The same driver at another pace: seconds between two polls or kept readings, and the silence that fits it.

    Raises:
        OptionError: Faster than the unit allows.
    """
    if every_s is None:
        return info
    if not math.isfinite(every_s) or every_s < info.min_every_s:
        raise OptionError("every", f"{every_s:g} s is too fast: {info.name} allows {info.min_every_s:g} s and slower")
    return replace(info, every_s=every_s, stale_after_s=max(info.stale_after_s, _MISSES * every_s))
