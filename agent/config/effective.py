"""What a configuration comes to: its canonical JSON text, that text without secrets, and its hash."""

import hashlib
import json
from dataclasses import asdict, replace

from agent.config.model import Config

_Json = str | int | float | bool | None | list["_Json"] | dict[str, "_Json"]
_Value = str | int | float | bool | None | frozenset[str] | list["_Value"] | tuple["_Value", ...] | dict[str, "_Value"]
_SECRET_WORDS = ("password", "passwd", "secret", "token", "apikey", "api_key", "psk", "pin")
_HIDDEN = "***"
_ABOUT_ITSELF = ("hash", "redacted", "defaults")


def stamp(config: Config) -> Config:
    """Return the configuration with its hash and its redacted text.

    Both speak of what is in effect: defaults are in, units converted, sections ordered by name.
    """
    ordered = replace(
        config,
        sensors=tuple(sorted(config.sensors, key=lambda sensor: sensor.name)),
        alarms=tuple(sorted(config.alarms, key=lambda alarm: alarm.name)),
        defaults=(),
    )
    fields: dict[str, _Value] = asdict(ordered)
    plain = _plain(fields)
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    redacted = json.dumps(_redact(plain), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return replace(config, hash=hashlib.sha256(canonical.encode()).hexdigest(), redacted=redacted)


def _plain(value: _Value) -> _Json:
    if isinstance(value, float):
        return int(value) if value.is_integer() else value  # 10 and 10.0 are one effect
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if key not in _ABOUT_ITSELF}
    if isinstance(value, frozenset):
        return [*sorted(value)]
    return [_plain(inner) for inner in value]


def _redact(value: _Json) -> _Json:
    if isinstance(value, dict):
        return {
            key: _HIDDEN
            if isinstance(inner, str) and any(word in key.lower() for word in _SECRET_WORDS)
            else _redact(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_redact(inner) for inner in value]
    return value
