"""The two fields of a note that may be absent."""

import json

import pytest

from agent.wire.bodies import encode_body
from agent.wire.cbor import UINT_MAX
from agent.wire.errors import WireError
from agent.wire.records import Note, Work, decode_note

BODY = {"work": "clean", "by": "Asep", "sensor": "air", "text": "inlet brushed"}


@pytest.mark.parametrize(
    ("more", "id_", "at_utc_ms"),
    [({}, None, None), ({"id": "69" * 16}, b"i" * 16, None), ({"at": 0}, None, 0), ({"at": UINT_MAX}, None, UINT_MAX)],
)
def test_a_note_says_its_id_and_its_moment_only_where_it_has_them(
    more: dict[str, str | int], id_: bytes | None, at_utc_ms: int | None
) -> None:
    note = Note(work=Work.CLEAN, by="Asep", sensor="air", text="inlet brushed", id=id_, at_utc_ms=at_utc_ms)
    assert json.loads(note.encode()) == {**BODY, **more}
    assert decode_note(note.encode()) == note


@pytest.mark.parametrize(
    "more", [{"id": "69" * 15}, {"id": "6G" * 16}, {"id": 5}, {"at": -1}, {"at": 1.5}, {"at": True}, {"at": "now"}]
)
def test_an_id_or_a_moment_that_is_none_is_refused(more: dict[str, str | int | float]) -> None:
    with pytest.raises(WireError):
        decode_note(encode_body({**BODY, **more}))


def test_a_moment_beyond_all_numbers_is_refused() -> None:
    with pytest.raises(WireError):
        decode_note(encode_body({**BODY, "at": UINT_MAX + 1}))
