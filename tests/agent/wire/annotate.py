"""Writes the examples of docs/wire-format.md from the vectors: each byte of a message with its meaning."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from agent.wire.batch import plain_of

DOCUMENT = Path(__file__).parents[3] / "docs" / "wire-format.md"
_BLOCK = re.compile(r"(<!-- (bytes|body): ([a-z_]+) -->\n```\w*\n).*?(```\n)", re.DOTALL)
_WIDTH = 32
_COLUMN = 68

Names = Sequence[str] | Mapping[int, str]

_HEADER = (
    *("kind", "city/node", "stream", "n", "prev", "run", "boot"),
    *("count", "seq0", "moment", "clock", "coding", "digest", "origin"),
)
_NAMES: dict[str, Names] = {
    "message": ["version", "sign1", "body"],
    "COSE_Sign1": ["protected", "unprotected", "payload", "signature"],
    "protected": {1: "algorithm (-8 EdDSA)", 4: "kid"},
    "header": dict(enumerate(_HEADER, start=1)),
    "moment": ["boot_ms", "utc_ms"],
    "ack": {
        1: "nonce",
        2: "settled",
        3: "center_utc_ms",
        4: "window_bytes",
        5: "rate_bytes_per_s",
        6: "refused",
        7: "answers_hello",
    },
    "settled chain": ["run", "stream", "n", "hash", "ranges"],
    "range": ["from", "to", "hash of to"],
    "refused batch": ["run", "stream", "n", "hash", "reason"],
    "hello": ["version", "nonce", "run", "boot", "page", "pages", "chains"],
    "chain": ["run", "stream", "first_n", "last_n", "last_seq"],
    "order": {1: "nonce", 2: "id", 3: "expires_s", 4: "name", 5: "arguments"},
    "argument": ["name", "value"],
}
_MEMBERS = {
    "settled": "settled chain",
    "ranges": "range",
    "refused": "refused batch",
    "chains": "chain",
    "arguments": "argument",
}


class _Annotator:
    """Walks one CBOR item after another. ``payload`` names what the COSE_Sign1 carries."""

    def __init__(self, data: bytes, payload: str, depth: int = 0) -> None:
        self._data, self._at = data, 0
        self._payload = payload
        self._depth = depth
        self.lines: list[str] = []

    def _emit(self, part: bytes, meaning: str) -> None:
        text = "  " * self._depth + part.hex()
        self.lines.append(f"{text:<{_COLUMN}} {meaning}".rstrip())

    def _head(self) -> tuple[int, int, bytes]:
        first = self._data[self._at]
        wide = {24: 1, 25: 2, 26: 4, 27: 8}.get(first & 31, 0)
        head = self._data[self._at : self._at + 1 + wide]
        self._at += len(head)
        return first >> 5, int.from_bytes(head[1:]) if wide else first & 31, head

    def item(self, name: str, before: bytes = b"", label: str = "") -> None:
        """Annotate the next item. ``before``: bytes of its key; ``label``: what to call it."""
        major, value, head = self._head()
        head, label = before + head, label or name
        if major in (0, 1):
            self._emit(head, f"{label} = {value if major == 0 else -1 - value}")
        elif major == 3:
            part = self._take(value)
            self._emit(head + part, f'{label} = "{part.decode()}"')
        elif major == 2:
            self._octets(name, label, head, self._take(value))
        elif major == 7:
            self._emit(head, f"{label} = { {20: 'false', 21: 'true', 22: 'null'}[value] }")
        elif major == 6:
            self._emit(head, f"tag {value}: COSE_Sign1")
            self.item("COSE_Sign1")
        elif major == 4:
            self._emit(head, f"{label}: array of {value}")
            names = _NAMES.get(name, ())
            self._inside(lambda at: self.item(*self._member(name, names, at)), value)
        else:
            self._emit(head, f"{label}: map of {value}")
            self._inside(lambda _: self._pair(_NAMES.get(name, {})), value)

    @staticmethod
    def _member(name: str, names: Names, at: int) -> tuple[str]:
        if name in _MEMBERS:
            return (_MEMBERS[name],)
        return (names[at],) if at < len(names) else (f"{name} {at}",)

    def _pair(self, names: Names) -> None:
        _, key, head = self._head()
        self.item(names[key], before=head, label=f"{key}: {names[key]}")

    def _inside(self, walk: Callable[[int], None], times: int) -> None:
        self._depth += 1
        for at in range(times):
            walk(at)
        self._depth -= 1

    def _take(self, length: int) -> bytes:
        part = self._data[self._at : self._at + length]
        self._at += length
        return part

    def _octets(self, name: str, label: str, head: bytes, part: bytes) -> None:
        inner = {"sign1": "sign1", "protected": "protected", "payload": self._payload}.get(name)
        self._emit(head, f"{label}: {len(part)} bytes" + ("" if inner is None else ", which are:"))
        if inner is not None:
            walker = _Annotator(part, self._payload, self._depth + 1)
            walker.item(inner)
            self.lines += walker.lines
            return
        self._depth += 1
        for at in range(0, len(part), _WIDTH):
            piece = part[at : at + _WIDTH]
            self._emit(piece, piece.decode("ascii", "replace") if name == "body" and part.isascii() else "")
        self._depth -= 1


def annotate(message: bytes, kind: str) -> str:
    """Return each byte of a message with its meaning."""
    walker = _Annotator(message, {"batch": "header"}.get(kind, kind))
    walker.item({"batch": "message", "hello": "hello"}.get(kind, "sign1"))
    return "\n".join(walker.lines) + "\n"


def body_text(message: bytes) -> str:
    """Return the JSON body of a batch, one field to a line."""
    value = json.loads(plain_of(message))
    if isinstance(value, list):
        return "[\n" + ",\n".join(f" {json.dumps(record)}" for record in value) + "\n]\n"
    fields = (f" {json.dumps(key)}: {json.dumps(value[key])}" for key in sorted(value))
    return "{\n" + ",\n".join(fields) + "\n}\n"


def filled(document: str, vectors: Mapping[str, Mapping[str, object]]) -> str:
    """Return the document with every example written anew."""

    def example(found: re.Match[str]) -> str:
        vector = vectors[found[3]]
        message = bytes.fromhex(str(vector["message_hex"]))
        text = body_text(message) if found[2] == "body" else annotate(message, str(vector.get("type", "batch")))
        return found[1] + text + found[4]

    return _BLOCK.sub(example, document)


def examples(document: str) -> Iterator[str]:
    """Yield the names of the vectors that a document shows."""
    yield from (found[3] for found in _BLOCK.finditer(document))
