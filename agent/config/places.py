"""Where each key and value of a TOML text stands: tomli gives the values, this gives their places.

It walks a text that tomli has already accepted, so it checks nothing again; on any other text the result means nothing.

Source: TOML 1.0 and the inline tables of TOML 1.1, as tomli 2.x reads them.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass

import tomli

Path = tuple[str | int, ...]
"""Keys, and indices of arrays, from the root of the document to a value."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """A point in a text. Line and column count from 1; the column counts characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The places that belong to one path.

    Attributes:
        key: Where its key stands; for an item of an array, where the item stands.
        value: Where its value begins; for a table, where its header or first key begins.
        text: The value as it was written; empty for a table made by a header or by dotted keys.
    """

    key: Place
    value: Place
    text: str = ""


_SPACE = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}'  # up to two quotes may stand before the closing three
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_PLAIN = re.compile(r"\d{4}-\d\d-\d\d \d\d:[^\s,\]}#]*|[^\s,\]}#]+")  # a date and its time may stand apart


def find(text: str) -> dict[Path, Mark]:
    """Return the mark of every key and value, every table and every item of an array, the root excepted."""
    return _Walk(text.replace("\r\n", "\n")).run()


class _Walk:
    """One pass over one text."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._lines = [0, *(match.end() for match in re.finditer("\n", source))]
        self._at = 0
        self._marks: dict[Path, Mark] = {}
        self._last_item: dict[Path, int] = {}  # arrays of tables: index of the newest item

    def run(self) -> dict[Path, Mark]:
        header: Path = ()
        self._skip(_BETWEEN)
        while self._at < len(self._source):
            if self._source[self._at] == "[":
                header = self._header()
            else:
                self._value(*self._pair_key(header))
            self._skip(_BETWEEN)
        return self._marks

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._source, self._at)
        self._at = match.end() if match else self._at

    def _place(self, at: int) -> Place:
        line = bisect_right(self._lines, at)
        return Place(line=line, column=at - self._lines[line - 1] + 1)

    def _header(self) -> Path:
        opening = self._place(self._at)
        doubled = self._source.startswith("[[", self._at)
        self._at += 2 if doubled else 1
        *parents, (name, name_at) = self._key()
        self._at += 2 if doubled else 1
        path = (*self._descend((), parents), name)
        mark = Mark(key=self._place(name_at), value=opening)
        if not doubled:
            self._marks[path] = mark
            return path
        self._marks.setdefault(path, mark)
        index = self._last_item.get(path, -1) + 1
        self._last_item[path] = index
        self._marks[*path, index] = mark
        return (*path, index)

    def _descend(self, path: Path, parts: list[tuple[str, int]]) -> Path:
        """Go down through tables that need no header of their own, and into the newest item of arrays of tables."""
        for name, at in parts:
            path = (*path, name)
            place = self._place(at)
            self._marks.setdefault(path, Mark(key=place, value=place))
            if path in self._last_item:
                path = (*path, self._last_item[path])
        return path

    def _key(self) -> list[tuple[str, int]]:
        """Read a key with its dots; return its parts, each with its offset."""
        parts: list[tuple[str, int]] = []
        while True:
            self._skip(_SPACE)
            begin = self._at
            bare = _BARE_KEY.match(self._source, begin)
            if bare:
                self._at = bare.end()
                parts.append((bare.group(), begin))
            else:
                self._skip(_STRING)
                parts.append((tomli.loads(f"name = {self._source[begin : self._at]}")["name"], begin))
            self._skip(_SPACE)
            if self._source[self._at] != ".":
                return parts
            self._at += 1

    def _pair_key(self, table: Path) -> tuple[Path, int]:
        """Read a key and its equals sign; return the path it names and the offset of its last part."""
        *parents, (name, name_at) = self._key()
        self._at += 1
        self._skip(_SPACE)
        return (*self._descend(table, parents), name), name_at

    def _value(self, path: Path, key_at: int) -> None:
        """Read one value; one stack frame for each level of nesting, as tomli allows 400."""
        begin = self._at
        opening = self._source[begin]
        if opening not in "[{":
            self._skip(_STRING if opening in "\"'" else _PLAIN)
            self._mark(path, key_at, begin)
            return
        closing = "]" if opening == "[" else "}"
        self._at += 1
        index = 0
        self._skip(_BETWEEN)
        while self._source[self._at] != closing:
            if opening == "[":
                self._value((*path, index), self._at)
                index += 1
            else:
                self._value(*self._pair_key(path))
            self._skip(_BETWEEN)
            if self._source[self._at] == ",":
                self._at += 1
                self._skip(_BETWEEN)
        self._at += 1
        self._mark(path, key_at, begin)

    def _mark(self, path: Path, key_at: int, begin: int) -> None:
        text = self._source[begin : self._at]
        self._marks[path] = Mark(key=self._place(key_at), value=self._place(begin), text=text)
