"""Deterministic CBOR (RFC 8949 section 4.2.1), and the checks every decoded value goes through."""

from collections.abc import Mapping, Sequence

import cbor2

from agent.wire.errors import Reason, WireError

Value = int | str | bytes | bool | None | Sequence["Value"] | Mapping[int, "Value"] | cbor2.CBORTag

UINT_MAX = 2**53 - 1
"""Largest integer that every language's JSON and doubles keep exact."""

_DEPTH = 8


def _unwanted(_value: object, _immutable: object) -> object:
    raise ValueError("a tag that has no place here")


# Tags that cbor2 6.3 turns into dates, patterns, fractions...: work an unsigned message must not cause.
_TAGS = dict.fromkeys(
    (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799), _unwanted
)


def encode(value: Value) -> bytes:
    """Return the one deterministic encoding of a value."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes) -> Value:
    """Decode one item that fills ``data`` and is encoded deterministically.

    Raises:
        WireError: ``form`` when it is not CBOR, ``not_canonical`` when the same value has another encoding.
    """
    try:
        value: Value = cbor2.loads(
            data, max_depth=_DEPTH, allow_indefinite=False, allow_duplicate_keys=False, semantic_decoders=_TAGS
        )
        again = cbor2.dumps(value, canonical=True)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise WireError(Reason.FORM, f"not CBOR as RFC 8949 4.2.1 wants it: {error}") from error
    if again != data:
        raise WireError(Reason.NOT_CANONICAL, "another encoding of the same value, or bytes after it")
    return value


def array(value: Value, what: str, *lengths: int) -> Sequence[Value]:
    """Return ``value`` if it is an array of one of the lengths (any length when none is given)."""
    if isinstance(value, (list, tuple)) and (not lengths or len(value) in lengths):
        return value
    raise WireError(Reason.FORM, f"{what} is not an array of {' or '.join(map(str, lengths)) or 'items'}")


def table(
    value: Value, what: str, required: frozenset[int], optional: frozenset[int] = frozenset()
) -> Mapping[int, Value]:
    """Return ``value`` if it is a map with exactly these integer keys."""
    if not isinstance(value, Mapping):
        raise WireError(Reason.FORM, f"{what} is not a map")
    if any(type(key) is not int for key in value):
        raise WireError(Reason.FORM, f"{what} has a key that is no integer")
    if not required <= value.keys() or value.keys() - required - optional:
        raise WireError(Reason.FORM, f"{what} has keys {sorted(value)}")
    return value


def uint(value: Value, what: str, most: int = UINT_MAX) -> int:
    """Return ``value`` if it is an integer from 0 to ``most``; a boolean is not an integer."""
    if type(value) is int and 0 <= value <= most:
        return value
    raise WireError(Reason.FORM, f"{what} is not an integer from 0 to {most}")


def octets(value: Value, what: str, length: int | None = None) -> bytes:
    """Return ``value`` if it is a byte string (of that length)."""
    if isinstance(value, bytes) and length in (None, len(value)):
        return value
    raise WireError(Reason.FORM, f"{what} is not a byte string{'' if length is None else f' of {length}'}")


def text(value: Value, what: str, most: int = 256) -> str:
    """Return ``value`` if it is a text of at most ``most`` characters."""
    if isinstance(value, str) and len(value) <= most:
        return value
    raise WireError(Reason.FORM, f"{what} is not a text of at most {most} characters")
