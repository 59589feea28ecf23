import re

import tomli
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.config.places import Mark, Path, Place, find

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN = (
    "1", "-2", "+3", "0", "0x1F", "0o17", "0b11", "1_000", "1.5", "-0.0", "1e5", "6.02e+2_3", "inf", "-inf", "nan",
    "true", "false", "1979-05-27", "1979-05-27 07:32:00", "1979-05-27T07:32:00Z", "1979-05-27t07:32:00.5+07:00",
    "07:32:00", "07:32", "1979-05-27 07:32",
)  # fmt: skip
_PIECES = (
    "a",
    "é",
    "語",
    "'",
    '"',
    '""',
    "''",
    "\\\\",
    '\\"',
    "\\u00e9",
    "#",
    "]",
    "}",
    "=",
    ",",
    ".",
    " ",
    "\t",
    "[x]",
)
_LONG_PIECES = (*_PIECES, "\n", "\r\n", "\\\n  ", "\\  \r\n \n")


def accepted(text: str) -> bool:
    try:
        return len(tomli.loads(f"x = [{text}, 1]")["x"]) == 2  # one value: not two, not one and a comment
    except tomli.TOMLDecodeError:
        return False


def quoted(mark: str, pieces: tuple[str, ...]) -> st.SearchStrategy[str]:
    return (
        st.lists(st.sampled_from(pieces), max_size=4).map(lambda parts: mark + "".join(parts) + mark).filter(accepted)
    )


BLANK = st.sampled_from(("", " ", "\t ", "  "))
EQUALS = st.sampled_from((" = ", "=", "\t=  "))
COMMENT = st.sampled_from(("", " # note", "#é = [", "\t#'''"))
STRINGS = st.one_of(
    quoted('"', _PIECES), quoted("'", _PIECES), quoted('"""', _LONG_PIECES), quoted("'''", _LONG_PIECES)
)
SCALARS = st.one_of(st.sampled_from(_PLAIN), STRINGS)


class Writer:
    """Draws a TOML document piece by piece; names are numbered, so no key stands twice."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self._names = 0
        self.newline = data.draw(st.sampled_from(("\n", "\r\n")))

    def draw(self, strategy: st.SearchStrategy[str]) -> str:
        return self._data.draw(strategy)

    def often(self) -> bool:
        return self._data.draw(st.booleans())

    def count(self, most: int) -> int:
        return self._data.draw(st.integers(0, most))

    def name(self) -> str:
        self._names += 1
        name = self.draw(st.sampled_from(("a", "B-", "_", "3", "é", "x.y", "q q", "#", "]", "=", "'", "\\", ""))) + str(
            self._names
        )
        if _BARE.fullmatch(name) and self.often():
            return name
        if "'" not in name and self.often():
            return f"'{name}'"
        return '"' + name.replace("\\", "\\\\") + '"'

    def dotted(self) -> str:
        dot = self.draw(st.sampled_from((".", " . ", "\t.")))
        return dot.join(self.name() for _ in range(1 + self.count(2)))

    def pair(self, depth: int) -> str:
        return f"{self.dotted()}{self.draw(EQUALS)}{self.value(depth)}"

    def between(self) -> str:
        return self.draw(st.sampled_from(("", " ", self.newline, f" # a ] b{self.newline}\t", f"{self.newline * 2} ")))

    def value(self, depth: int) -> str:
        kind = self.count(3 if depth else 1)
        if kind < 2:
            return self.draw(SCALARS)
        opening, closing = ("[", "]") if kind == 2 else ("{", "}")
        items = [self.value(depth - 1) if kind == 2 else self.pair(depth - 1) for _ in range(self.count(2))]
        gap = self.between()
        trailing = "," if items and self.often() else ""
        return f"{opening}{gap}{f'{gap},{gap}'.join(items)}{trailing}{self.between()}{closing}"

    def body(self) -> list[str]:
        return [f"{self.draw(BLANK)}{self.pair(2)}{self.draw(COMMENT)}" for _ in range(self.count(2))]

    def table(self, path: str, depth: int, header: str) -> list[str]:
        own = [f"{self.draw(BLANK)}{header}{self.draw(COMMENT)}", *self.body()] if header else self.body()
        below: list[str] = []
        for _ in range(self.count(2) if depth else 0):
            dot = self.draw(st.sampled_from((".", " . "))) if path else ""
            child = f"{path}{dot}{self.name()}"
            if self.often():
                below += self.table(child, depth - 1, f"[ {child} ]" if self.often() else f"[{child}]")
            else:
                for _ in range(1 + self.count(1)):
                    below += self.table(child, depth - 1, f"[[{child}]]")
        if header.startswith("[[") or not (header and below):
            return own + below
        return (own + below, below + own, below)[self.count(2)]  # declared before what is below it, after it, or never


@st.composite
def documents(draw: st.DrawFn) -> str:
    writer = Writer(draw(st.data()))
    return writer.newline.join(writer.table("", 2, "")) + draw(st.sampled_from(("", writer.newline)))


def paths(tree: object, path: Path = ()) -> dict[Path, object]:
    found: dict[Path, object] = {path: tree} if path else {}
    if isinstance(tree, dict):
        for name, inner in tree.items():
            found |= paths(inner, (*path, name))
    elif isinstance(tree, list):
        for index, inner in enumerate(tree):
            found |= paths(inner, (*path, index))
    return found


def rest_at(text: str, place: Place) -> str:
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join([lines[place.line - 1][place.column - 1 :], *lines[place.line :]])


def key_at(text: str, place: Place) -> str:
    rest = rest_at(text, place)
    if rest[0] in "\"'":
        end = next(end for end in range(2, len(rest) + 1) if accepted(rest[:end]))
        return str(tomli.loads(f"x = {rest[:end]}")["x"])
    bare = _BARE.match(rest)
    assert bare is not None
    return bare.group()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_every_key_and_value_of_any_document_is_found_where_it_stands(text: str) -> None:
    expected = paths(tomli.loads(text))
    marks = find(text)
    assert set(marks) == set(expected)
    for path, mark in marks.items():
        assert rest_at(text, mark.value).startswith(mark.text)
        if mark.text:
            assert repr(tomli.loads(f"x = {mark.text}")["x"]) == repr(expected[path])
        else:
            assert isinstance(expected[path], dict | list)
        if isinstance(path[-1], str):
            assert key_at(text, mark.key) == path[-1]


def test_a_value_is_counted_in_characters_from_one() -> None:
    text = '# note\r\n\r\n"é語" = [ 1,\r\n  "two" ]\r\n'
    marks = find(text)
    assert marks["é語",] == Mark(key=Place(line=3, column=1), value=Place(line=3, column=8), text='[ 1,\n  "two" ]')
    assert marks["é語", 1].value == Place(line=4, column=3)


def test_a_section_stands_at_its_bracket_even_when_its_child_came_first() -> None:
    marks = find("[a.b]\n\n[a]\n")
    assert marks["a",].value == Place(line=3, column=1)
    assert marks["a",].key == Place(line=3, column=2)


def test_items_of_an_array_of_tables_stand_at_their_own_brackets() -> None:
    marks = find("[[a]]\n[[a.b]]\n[[a]]\n[[a.b]]\n[[a.b]]\n[a.b.c]\nd = 1")
    assert marks["a", 1, "b", 1].value == Place(line=5, column=1)
    assert marks["a", 1, "b", 1, "c", "d"].value == Place(line=7, column=5)
    assert marks["a",].value == Place(line=1, column=1)


def test_nesting_as_deep_as_tomli_allows_is_walked() -> None:
    depth = 400
    marks = find("x = " + "[" * depth + "]" * depth)
    assert len(marks) == depth
