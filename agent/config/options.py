"""Checks the keys that belong to a sensor's driver against what the driver declares."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from math import isfinite

from agent.config.document import Node
from agent.config.finding import Findings
from agent.config.section import quantity, wrong_kind
from agent.config.suggest import choice, near
from drivers.driver import Option, OptionValue
from drivers.quantity import example

_FORMS = {
    "text": "text in quotes",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "list": "a list in [ ]",
    "table": "a table",
}


def read_options(
    options: Iterable[Option], section: Mapping[str, Node], owner: Node, findings: Findings
) -> dict[str, OptionValue]:
    """Return the options that a sensor section sets; a bad one is noted and left out.

    A quantity is returned as text in the unit that the option declares, anything else as it was written.

    Args:
        options: What the driver declares.
        section: Keys of the sensor's section.
        owner: The section, to blame for an option that is missing.
        findings: Where problems go.
    """
    values: dict[str, OptionValue] = {}
    for option in options:
        node = section.get(option.name)
        if node is None:
            if option.required:
                findings.error(
                    owner.file,
                    owner.key,
                    f'[{owner.path}] lacks "{option.name}", which its driver needs',
                    allowed=_allowed(option),
                    cure=f"add {option.name} = {option.example or '...'}: {option.doc}",
                )
            continue
        value = _value(option, node, findings)
        if value is not None:
            values[option.name] = value
    return values


def _value(option: Option, node: Node, findings: Findings) -> OptionValue | None:
    before = findings.errors
    if option.kind == "quantity":
        number = quantity(node, option.unit, _allowed(option), findings)
        fits = number is not None and _in_range(option, node, number, findings)
        return f"{number.normalize():f} {option.unit}".rstrip() if fits and number is not None else None
    value = plain(node, findings)
    return value if findings.errors == before and _fits(option, node, findings) else None


def plain(node: Node, findings: Findings) -> OptionValue | None:
    """Return a value as TOML holds it; None after a finding, as for a date or a number that is not finite."""
    match node.value:
        case Mapping():
            inner = {name: plain(item, findings) for name, item in node.value.items()}
            return {name: item for name, item in inner.items() if item is not None}
        case tuple():
            items = [plain(item, findings) for item in node.value]
            return [item for item in items if item is not None]
        case float() if not isfinite(node.value):
            wrong_kind(node, "a finite number", "write a finite number", findings)
            return None
        case bool() | int() | float() | str():
            return node.value
        case _:
            wrong_kind(node, "text or a number", f'put it in quotes: "{node.text}"', findings)
            return None


def _fits(option: Option, node: Node, findings: Findings) -> bool:
    allowed = _allowed(option)
    value = node.value
    right = {
        "text": isinstance(value, str),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
        "list": isinstance(value, tuple),
        "table": isinstance(value, Mapping),
    }[option.kind]
    if not right:
        wrong_kind(node, allowed, f"write it like {option.name} = {_sample(option)}", findings)
        return False
    if isinstance(value, str) and option.choices and value not in option.choices:
        guesses = near(value, option.choices)
        cure = f"did you mean {choice(guesses)}?" if guesses else f"write {choice(option.choices)}"
        findings.error(
            node.file, node.place, f'"{option.name}" cannot be this', given=node.text, allowed=allowed, cure=cure
        )
        return False
    if isinstance(value, int | float):
        return _in_range(option, node, Decimal(str(value)), findings) if not isinstance(value, bool) else True
    return True


def _in_range(option: Option, node: Node, number: Decimal, findings: Findings) -> bool:
    too_low = option.low is not None and number < Decimal(str(option.low))
    too_high = option.high is not None and number > Decimal(str(option.high))
    if not (too_low or too_high):
        return True
    bound = _shown(option.low if too_low else option.high, option)
    findings.error(
        node.file,
        node.place,
        f'"{option.name}" is out of range',
        given=node.text,
        allowed=_allowed(option),
        cure=f"write {bound} or {'more' if too_low else 'less'}",
    )
    return False


def _allowed(option: Option) -> str:
    if option.choices:
        return choice(option.choices)
    form = f'a quantity such as "{example(option.unit)}"' if option.kind == "quantity" else _FORMS[option.kind]
    low = f"from {_shown(option.low, option)}" if option.low is not None else ""
    high = f"to {_shown(option.high, option)}" if option.high is not None else ""
    return " ".join(filter(None, (form, low, high)))


def _shown(bound: float | None, option: Option) -> str:
    number = f"{bound:.10g}"
    return f'"{number} {option.unit}"' if option.kind == "quantity" else number


def _sample(option: Option) -> str:
    samples = {"text": '"..."', "integer": "1", "number": "1.5", "boolean": "true", "list": "[...]", "table": "{ ... }"}
    return option.example or samples[option.kind]
