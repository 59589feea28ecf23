import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.document import SIZE_LIMIT_BYTES, Document, read
from agent.config.finding import Finding, Findings


def read_all(*files: bytes) -> tuple[Document, tuple[Finding, ...]]:
    findings = Findings()
    named = [(f"{number}.toml", data) for number, data in enumerate(files)]
    document = read(named, findings)
    return document, findings.in_order(tuple(name for name, _ in named))


def only(*files: bytes) -> Finding:
    _, found = read_all(*files)
    (finding,) = found
    return finding


def test_values_know_their_file_and_place() -> None:
    document, found = read_all(b"a = 1\n", b'[s.t]\nb = ["x", 2]\n')
    assert not found
    second = document.keys["s"].table()["t"].table()["b"].items()[1]
    assert (second.file, second.path, second.text) == ("1.toml", "s.t.b.1", "2")
    assert (second.place.line, second.place.column) == (2, 11)
    assert document.keys["a"].table() == {}
    assert document.keys["a"].items() == ()


@pytest.mark.parametrize(
    ("text", "line", "column", "cure"),
    [
        ("a = 1\nb = \nc = \n", 2, 5, "one key = value stands on a line; text stands in quotes"),
        ("[a]\n[b]\n[a]\n", 3, 3, "a section may stand once: move its keys under the first one"),
        ("a = 1\na = 2\n", 2, 6, "a key may stand once: remove one of the two"),
        ("[a.b]\n[a]\nb.c = 1\n", 3, 8, "a section may stand once: move its keys under the first one"),
        ("a = {}\n[a.b]\n", 2, 5, "a section may stand once: move its keys under the first one"),
        ("a = {b = 1}\na.c = 1\n", 2, 8, "a table written in braces is complete: put the key inside them"),
        ("a = {b = 1, b = 2}\n", 1, 18, "a key may stand once: remove one of the two"),
        ("port usb\n", 1, 6, 'write key = value, such as port = "usb:1-1.2"'),
        ("[a\n", 1, 3, "close the section's name with ]"),
        ("a = [1 2]\n", 1, 8, "put a comma between the parts and close the bracket"),
        ('a = "C:\\dir"\n', 1, 10, "in double quotes a backslash is written twice; single quotes take it as it is"),
        ('a = "x', 1, 7, "close the quotes"),
        ('a = "x\n', 1, 7, "close the quotes on the same line"),
        ("a. = 1\n", 1, 4, "start the key with a letter, a digit, - or _"),
        (": 1\n", 1, 1, "write key = value, [section] or # comment"),
        ("every = 10 s # soon\n", 1, 12, 'put text in quotes: every = "10 s"'),
        ('a = "x" "y"\n', 1, 9, "one key = value stands on a line; text stands in quotes"),
        ("[a] b\n", 1, 5, "one key = value stands on a line; text stands in quotes"),
    ],
)
def test_a_syntax_error_is_told_once_with_its_place_and_cure(text: str, line: int, column: int, cure: str) -> None:
    finding = only(text.encode())
    assert (finding.line, finding.column, finding.cure) == (line, column, cure)


def test_other_files_are_read_past_a_broken_one() -> None:
    document, found = read_all(b"a = ", b"b = 1", b"c = \n")
    assert [finding.file for finding in found] == ["0.toml", "2.toml"]
    assert list(document.keys) == ["b"]
    assert not document.complete


def test_a_section_in_two_files_is_told_with_both_places_and_the_first_counts() -> None:
    document, found = read_all(b"x = 1\n[center]\na = 1\n", b"\n[center]\nb = 1\n")
    (finding,) = found
    assert (finding.file, finding.line, finding.what) == ("1.toml", 2, "[center] stands in two files")
    assert finding.given == "here and at 0.toml:2:2"
    assert list(document.keys["center"].table()) == ["a"]


def test_a_key_in_two_files_is_told() -> None:
    assert only(b"node = 1", b"node = 2").what == "node stands in two files"


def test_sensors_and_alarms_may_be_spread_over_files_but_one_of_them_may_not() -> None:
    document, found = read_all(b"[sensor.a]\n", b"[sensor.b]\n", b"[sensor.a]\n[alarm.a]\n")
    assert [finding.what for finding in found] == ["[sensor.a] stands in two files"]
    assert list(document.keys["sensor"].table()) == ["a", "b"]


def test_sensors_that_are_no_section_are_not_merged() -> None:
    assert only(b"sensor = 1", b"[sensor.b]\n").what == "[sensor] stands in two files"


def test_a_byte_order_mark_of_an_editor_is_passed_over() -> None:
    document, found = read_all(b"\xef\xbb\xbfa = 1\n")
    assert not found
    assert document.keys["a"].key.column == 1


def test_a_byte_that_is_no_text_is_found() -> None:
    finding = only('a = 1\nsite = "é'.encode() + b'\xe9"\n')
    assert (finding.line, finding.column, finding.given) == (2, 10, "byte 0xe9")


def test_a_file_of_another_kind_is_refused_for_its_length() -> None:
    assert only(b"#" * (SIZE_LIMIT_BYTES + 1)).what == "the file is too long for a configuration"


def test_nesting_without_end_is_refused() -> None:
    assert only(b"a = " + b"[" * 500 + b"]" * 500).what == "values are nested too deeply"


def test_without_files_there_is_nothing() -> None:
    document, found = read_all()
    assert (document.keys, document.complete, found) == ({}, True, ())


@given(st.lists(st.binary(max_size=60), max_size=3))
def test_any_bytes_are_read_or_refused(files: list[bytes]) -> None:
    document, found = read_all(*files)
    assert document.complete or found
