"""How a probe's section of the configuration declares its keys: once, with default, kind and meaning. Pure."""

from dataclasses import MISSING, dataclass, field, fields
from typing import Literal, TypeVar

Value = str | int | bool | tuple[str, ...]
Of = TypeVar("Of", str, int, bool, tuple[str, ...])
SettingKind = Literal["text", "path", "url", "endpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key of a probe's section.

    Attributes:
        name: As in TOML.
        default: What holds where nobody wrote it; its type is the key's type.
        doc: What it means, for people, in one line.
        kind: What its text is; each text of a list is one.
        choices: Allowed texts; empty means any.
    """

    name: str
    default: Value
    doc: str
    kind: SettingKind
    choices: tuple[str, ...]


def setting(default: Of, doc: str, *, kind: SettingKind = "text", choices: tuple[str, ...] = ()) -> Of:
    """Declare a key of a settings class; an empty text or list means: there is none, ask nothing."""
    declared: Of = field(default=default, metadata={"doc": doc, "kind": kind, "choices": choices})
    return declared


def settings_of(section: type) -> tuple[Setting, ...]:
    """Return the keys that a settings class declares, in their order."""
    declared = ((each.name, each.default, each.metadata) for each in fields(section))
    return tuple(Setting(name=name, default=it, **rest) for name, it, rest in declared if it is not MISSING)
