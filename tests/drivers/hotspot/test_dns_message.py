"""Questions to DNS servers and their answers, as bytes."""

import struct

import pytest

from drivers.hotspot.dns_message import AAAA, CHAOS, TXT, A, Reply, answers, question, reply
from drivers.probe import AnswerError

ASKED = question("example.com", number=7)
POINTER = b"\xc0\x0c"


def rr(kind: int, data: bytes, *, name: bytes = POINTER, of_class: int = 1) -> bytes:
    return name + struct.pack(">HHIH", kind, of_class, 60, len(data)) + data


def said(*records: bytes, flags: int = 0x8180, others: bytes = b"", counts: tuple[int, int] = (0, 0)) -> bytes:
    return struct.pack(">HHHHHH", 7, flags, 1, len(records), *counts) + ASKED[12:] + b"".join(records) + others


def test_a_question_is_as_the_standard_writes_it() -> None:
    plain = question("example.com", number=7)
    assert plain == bytes.fromhex("0007 0100 0001 0000 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001")
    chaos = question("hits.bind.", number=0xFFFF, kind=TXT, of_class=CHAOS)
    assert chaos == bytes.fromhex("ffff 0100 0001 0000 0000 0000 04 68697473 04 62696e64 00 0010 0003")
    assert b"\x0dxn--bcher-kva" in question("b\u00fccher.example", number=1)


@pytest.mark.parametrize("name", ["", ".", "a..b", ".a", "x" * 64])
def test_a_name_with_an_empty_or_long_label_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a host"):
        question(name, number=1)


def test_only_an_answer_to_this_number_is_its_answer() -> None:
    assert answers(said(), 7)
    assert not answers(said(), 8)
    assert not answers(ASKED, 7)
    assert not answers(said()[:11], 7)


def test_addresses_and_texts_are_read_among_other_records() -> None:
    v6 = bytes.fromhex("20010db8000000000000000000000001")
    alias = rr(5, b"\x03www" + POINTER)
    odd = rr(A, b"\1\2\3")
    found = reply(
        said(alias, rr(A, bytes((192, 0, 2, 1)), name=b"\x01a\x01b\0"), odd, rr(AAAA, v6), rr(TXT, b"\1a\0\2bc"))
    )
    assert found == Reply(rcode=0, addresses=("192.0.2.1", "2001:db8::1"), texts=(("a", "", "bc"),))


@pytest.mark.parametrize(("flags", "rcode", "truncated"), [(0x8183, 3, False), (0x8185, 5, False), (0x8380, 0, True)])
def test_what_the_server_says_of_its_answer_is_told(flags: int, rcode: int, *, truncated: bool) -> None:
    found = reply(said(flags=flags))
    assert (found.rcode, found.truncated, found.addresses) == (rcode, truncated, ())


def test_records_about_other_things_are_passed_over_and_must_be_whole() -> None:
    more = rr(2, b"\x02ns" + POINTER) + rr(A, bytes((192, 0, 2, 9)))
    whole = said(rr(A, bytes((192, 0, 2, 1))), others=more, counts=(1, 1))
    assert reply(whole).addresses == ("192.0.2.1",)
    with pytest.raises(AnswerError):
        reply(whole[:-1])


WHOLE = said(rr(A, bytes((192, 0, 2, 1))), rr(TXT, b"\3abc"))


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_half_an_answer_is_refused_wherever_it_ends(length: int) -> None:
    with pytest.raises(AnswerError):
        reply(WHOLE[:length])


@pytest.mark.parametrize(
    "raw",
    [
        ASKED,
        said(flags=0x8980),
        said(rr(TXT, b"\x09abc")),
        said(rr(TXT, b"\x01\xff")),
        said(rr(A, b"", name=b"\x41a\0")),
        struct.pack(">HHHHHH", 7, 0x8180, 2, 0, 0, 0) + ASKED[12:] * 2,
    ],
)
def test_questions_and_malformed_answers_are_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        reply(raw)
