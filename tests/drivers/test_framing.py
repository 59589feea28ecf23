import random
import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.framing import (
    Codec,
    Dropped,
    EndedFrame,
    Fault,
    FixedFrame,
    Form,
    LineFrame,
    Piece,
    sum8,
    xor8,
)


def _sum_check(frame: bytes) -> Fault | None:
    return None if sum8(frame[:3]) == frame[3] else Fault(reason="checksum", detail="sum")


def _any_line(line: bytes) -> Fault | None:
    return Fault(reason="bad") if b"bad" in line else None


def _four() -> FixedFrame:
    return FixedFrame((b"\xff",), 4, _sum_check)


def _ten() -> FixedFrame:
    return FixedFrame((b"\xaa\xc0", b"\xaa\xc5"), 4, lambda _: None)


def _lengths() -> FixedFrame:
    marks = {b"\xff\x01": 4, b"\xff\x07": 6}
    return FixedFrame(tuple(marks), marks, lambda frame: None if frame[-1] & 1 else Fault(reason="even"))


def _marked() -> LineFrame:
    return LineFrame(b"\r\n", 32, _any_line, start=b"$")


def _plain() -> LineFrame:
    return LineFrame(b"\n", 16, _any_line)


def _two_marks() -> LineFrame:
    return LineFrame(b"\n", 32, _any_line, start=(b"$", b"\xaa\xc0"))


def _ended() -> EndedFrame:
    """``$..`` to a line end, ``\\xff..`` to a zero and one byte more."""
    line = Form(starts=b"$@", end=re.compile(rb"\r?\n"), end_max=2, longest=12, check=_any_line, common=True)
    block = Form(starts=b"\xff", end=re.compile(rb"\0.", re.DOTALL), end_max=2, longest=20, check=_odd)
    return EndedFrame(line, block)


def _odd(block: bytes) -> Fault | None:
    return None if block[-1] & 1 else Fault(reason="even")


CODECS = pytest.mark.parametrize("make", [_four, _ten, _lengths, _marked, _two_marks, _plain, _ended])
GOOD = b"\xff\x07\xa1\xa7"


def _feed(codec: Codec, *chunks: bytes) -> list[Piece]:
    return [piece for chunk in chunks for piece in codec.feed(chunk)]


def _frames(pieces: list[Piece]) -> list[bytes]:
    return [piece for piece in pieces if isinstance(piece, bytes)]


def test_sum8_is_modulo_256_and_xor8_folds() -> None:
    assert sum8(b"\xff\x07\xa1") == 0xA7
    assert xor8(b"\x01\x02\x07") == 4


def test_a_bad_frame_costs_one_byte_and_the_good_one_inside_it_is_found() -> None:
    pieces = _feed(_four(), b"\xff\x01" + GOOD)
    assert _frames(pieces) == [GOOD]
    assert isinstance(pieces[0], Dropped)
    assert (pieces[0].reason, pieces[0].detail, pieces[0].count) == ("checksum", "sum", 1)


def test_a_mark_cut_in_two_is_kept_and_half_a_frame_is_not_yet_judged() -> None:
    codec = _ten()
    assert _feed(codec, b"noise\xaa") == []
    assert codec.held >= 1
    assert _frames(_feed(codec, b"\xc5\x01", b"\x02")) == [b"\xaa\xc5\x01\x02"]


def test_a_stretch_of_noise_is_one_event_that_counts_every_byte() -> None:
    pieces = _feed(_four(), b"\x00" * 100 + GOOD)
    assert isinstance(pieces[0], Dropped)
    assert (pieces[0].reason, pieces[0].count, len(pieces[0].raw)) == ("noise", 100, 64)


def test_giving_up_returns_what_was_held_and_forgets_it() -> None:
    codec = _four()
    _feed(codec, b"zz\xff\x07")
    assert [(piece.reason, piece.count) for piece in codec.rest()] == [("noise", 2), ("incomplete", 2)]
    assert codec.rest() == []
    assert codec.held == 0
    lines = _plain()
    _feed(lines, b"half")
    assert [piece.reason for piece in lines.rest()] == ["incomplete"]
    assert lines.rest() == []


def test_lines_end_at_any_end_and_empty_ones_are_skipped() -> None:
    assert _frames(_feed(LineFrame(b"\r\n", 16, _any_line), b"one\r\n\r\ntwo\rthree\n")) == [b"one", b"two", b"three"]


def test_a_line_that_fails_is_dropped_whole_and_the_next_is_read() -> None:
    pieces = _feed(_plain(), b"bad line\ngood\n")
    assert pieces[0] == Dropped(reason="bad", raw=b"bad line", count=8)
    assert _frames(pieces) == [b"good"]


def test_the_rest_of_a_line_that_is_too_long_is_no_line() -> None:
    pieces = _feed(_plain(), b"x" * 40 + b"\ngood\n")
    assert _frames(pieces) == [b"good"]
    assert [piece.reason for piece in pieces if isinstance(piece, Dropped)] == ["noise", "too long"]


def test_a_start_mark_inside_noise_or_inside_a_bad_line_is_found() -> None:
    assert _frames(_feed(_marked(), b"junk$one\n")) == [b"$one"]
    assert _frames(_feed(_marked(), b"$bad$two\n")) == [b"$two"]
    assert _frames(_feed(_marked(), b"x" * 60 + b"$three\n")) == [b"$three"]
    assert _frames(_feed(_marked(), b"no mark\n")) == []


def test_a_line_may_begin_with_one_of_several_marks() -> None:
    assert _frames(_feed(_two_marks(), b"xx$one\nyy\xaa\xc0two\n$bad\xaa\xc0three\n")) == [
        b"$one",
        b"\xaa\xc0two",
        b"\xaa\xc0three",
    ]


def test_messages_of_two_forms_are_told_apart_by_their_starts() -> None:
    pieces = _feed(_ended(), b"junk$one\r\n\xff\n$\0\x01@two\n")
    assert _frames(pieces) == [b"$one\r\n", b"\xff\n$\0\x01", b"@two\n"]
    assert pieces[0] == Dropped(reason="noise", raw=b"junk", count=4)


def test_a_message_that_fails_costs_one_byte_and_one_that_begins_inside_it_is_found() -> None:
    pieces = _feed(_ended(), b"\xff\xff\0\x02$bad$one\n")
    assert _frames(pieces) == [b"$one\n"]
    assert [(piece.reason, piece.count) for piece in pieces if isinstance(piece, Dropped)] == [
        ("even", 1),
        ("even", 1),
        ("noise", 6),
    ]


@pytest.mark.parametrize(("length", "reasons"), [(20, []), (21, ["too long"])])
def test_an_end_that_begins_too_late_is_none(length: int, reasons: list[str]) -> None:
    message = b"\xff" + b"q" * (length - 1) + b"\0\x01"
    pieces = _feed(_ended(), message, b"$one\n")
    assert [piece.reason for piece in pieces if isinstance(piece, Dropped)][:1] == reasons
    assert _frames(pieces) == [*([] if reasons else [message]), b"$one\n"]


def test_a_message_that_never_ends_is_given_up() -> None:
    codec = _ended()
    assert _feed(codec, b"\xff" + b"q" * 20) == []
    assert [piece.reason for piece in _feed(codec, b"qqqq") if isinstance(piece, Dropped)] == ["too long"]
    assert [(piece.reason, piece.count) for piece in codec.rest()] == [("noise", 24)]
    _feed(codec, b"@half")
    assert [(piece.reason, piece.raw) for piece in codec.rest()] == [("incomplete", b"@half")]
    assert codec.held == 0


def test_what_was_searched_for_one_message_hides_no_end_of_the_next() -> None:
    assert _frames(_feed(_ended(), b"\xff$a\n" + b"q" * 30)) == [b"$a\n"]
    late = b"\xff" + b"q" * 19 + b"\0"
    assert _frames(_feed(_ended(), b"\xff" + late, b"\x01")) == [late + b"\x01"]


def test_the_tail_of_a_line_that_began_unheard_is_dropped_when_asked() -> None:
    pieces = _feed(LineFrame(b"\n", 16, _any_line, whole_only=True), b"3.5,20\n23.5,20\n")
    assert _frames(pieces) == [b"23.5,20"]
    assert isinstance(pieces[0], Dropped)
    assert pieces[0].reason == "partial"


def test_after_giving_up_the_first_line_may_be_a_tail_again() -> None:
    codec = LineFrame(b"\n", 16, _any_line, whole_only=True)
    _feed(codec, b"tail\nwhole\nhal")
    codec.rest()
    assert _frames(_feed(codec, b"f\nwhole\n")) == [b"whole"]


@CODECS
@given(data=st.data())
def test_what_comes_out_never_depends_on_how_the_bytes_were_cut(make: Callable[[], Codec], data: st.DataObject) -> None:
    parts = st.sampled_from(
        [GOOD, b"\xff", b"\xaa", b"\xaa\xc0", b"$one\r\n", b"bad\n", b"\n", b"$", b"q" * 20, b"\0", b"\0\x01"]
    )
    stream = b"".join(data.draw(st.lists(parts | st.binary(max_size=6), max_size=20)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[low:high] for low, high in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    whole, cut, single = make(), make(), make()
    expected = [*_feed(whole, stream), *whole.rest()]
    assert [*_feed(cut, *chunks), *cut.rest()] == expected
    singles = [stream[at : at + 1] for at in range(len(stream))]
    assert [*_feed(single, *singles), *single.rest()] == expected


@CODECS
@given(stream=st.binary(max_size=3000))
def test_every_byte_is_accounted_for(make: Callable[[], Codec], stream: bytes) -> None:
    codec = make()
    pieces = [*_feed(codec, stream), *codec.rest()]
    counted = sum(len(piece) if isinstance(piece, bytes) else piece.count for piece in pieces)
    ends = stream.count(b"\n") + stream.count(b"\r") if isinstance(codec, LineFrame) else 0
    assert len(stream) - ends <= counted <= len(stream)


@CODECS
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_megabyte_of_noise_stays_bounded_and_linear(make: Callable[[], Codec], seed: int) -> None:
    noise = random.Random(seed).randbytes(1_000_000)  # noqa: S311 - noise, no secret
    codec = make()
    costs: list[float] = []
    for size in (250_000, 1_000_000):
        began = time.process_time()
        for at in range(0, size, 4096):
            codec.feed(noise[at : at + 4096])
            assert codec.held <= 128
        costs.append(time.process_time() - began)
    assert costs[1] < 4 * 2.5 * max(costs[0], 0.02)


def test_each_mark_may_have_a_length_of_its_own() -> None:
    short, long = b"\xff\x01\x00\x03", b"\xff\x07\x00\x00\x00\x05"
    assert [piece for piece in _lengths().feed(short + long + short) if isinstance(piece, bytes)] == [
        short,
        long,
        short,
    ]
    for held, detail in ((long[:4], "4 of 6 bytes"), (short[:3], "3 of 4 bytes"), (b"\xff", "1 of 6 bytes")):
        codec = _lengths()
        assert codec.feed(held) == []
        assert [dropped.detail for dropped in codec.rest()] == [detail]
