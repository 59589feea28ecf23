import hashlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.seal import Limits, Moment, Pace, Sealer, cut, plain_bytes
from agent.wire import senml
from agent.wire.batch import NO_HASH, Batch, Clock, Kind, Stream, open_batch
from agent.wire.bodies import End, Start
from agent.wire.keys import Signer, Verifier
from agent.wire.senml import Row

KEY = Signer(hashlib.sha256(b"seal tests").digest())
RUN, OLD_RUN, BOOT = b"\x01" * 16, b"\x02" * 16, b"\xb0" * 16
SEALER = Sealer(city="bandung", node="dago-01", run=RUN, signer=KEY)
NOW = Moment(boot=BOOT, boot_ms=5_000_000, utc_ms=1_795_000_000_000, clock=Clock.SYNCHRONISED)
BEGUN = End(n=1, hash=b"\x09" * 32, seq=0)

_NAME = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True)
_TEXT = st.text(st.characters(codec="utf-8"), max_size=64)
_VALUES = st.one_of(
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    _TEXT,
    st.text(st.sampled_from('\x00\x1f"\\é€'), max_size=64),
)
_ROWS = st.lists(
    st.builds(
        Row,
        path=st.builds("{}/{}".format, _NAME, _NAME),
        unit=st.text(st.sampled_from('m%"µ°€\x01'), min_size=1, max_size=20),
        boot_ms=st.integers(0, 10**13),  # three hundred years up
        value=_VALUES,
        flags=st.lists(_NAME, unique=True, max_size=4).map(tuple),
    ),
    max_size=30,
)


def opened(message: bytes) -> Batch:
    return open_batch(message, city="bandung", node="dago-01", find_key={KEY.kid: Verifier(KEY.public)}.get)


def rows(count: int) -> list[Row]:
    return [Row(path=f"s{at % 3}/v", unit="m", boot_ms=4_000_000 + at, value=at / 8) for at in range(count)]


@given(some=_ROWS)
def test_no_pack_is_longer_than_what_cutting_reckons_with(some: list[Row]) -> None:
    limits = Limits(rows=1000, plain_bytes=1500)
    for piece in cut(some, limits):
        plain = senml.pack(piece, node=f"{'c' * 32}/{'n' * 32}", at_boot_ms=2**53 - 1, at_utc_ms=2**53 - 1)
        single = len(piece) == 1
        assert len(plain) <= limits.plain_bytes or single


@given(some=_ROWS)
def test_a_row_of_a_channel_that_is_there_already_costs_no_more_than_reckoned(some: list[Row]) -> None:
    for row in some:
        other = replace(row, boot_ms=0, value=1, flags=())
        both = senml.pack([other, row], node="c/n", at_boot_ms=2**53 - 1, at_utc_ms=None)
        alone = senml.pack([other], node="c/n", at_boot_ms=2**53 - 1, at_utc_ms=None)
        assert len(both) - len(alone) <= plain_bytes(row)


@given(some=_ROWS, most=st.integers(1, 10), size=st.integers(1, 3000))
def test_cutting_keeps_every_row_in_order_and_every_piece_within_its_rows(
    some: list[Row], most: int, size: int
) -> None:
    pieces = cut(some, Limits(rows=most, plain_bytes=size))
    assert [row for piece in pieces for row in piece] == some
    assert all(0 < len(piece) <= most for piece in pieces)


def test_500_rows_or_64_kib_are_the_limits() -> None:
    assert [len(piece) for piece in cut(rows(1200), Limits())] == [500, 500, 200]
    long = [replace(row, value="\x02" * 250) for row in rows(300)]
    pieces = cut(long, Limits())
    packs = [senml.pack(piece, node="bandung/dago-01", at_boot_ms=5_000_000, at_utc_ms=None) for piece in pieces]
    assert len(pieces) > 5
    assert 48 * 1024 < max(len(pack) for pack in packs) <= 64 * 1024


def test_a_batch_says_what_was_sealed_and_where_the_chain_stands_then() -> None:
    end = End(n=7, hash=b"\x07" * 32, seq=40)
    sealed = SEALER.readings(rows(5), stream=Stream.TELEMETRY, end=end, moment=NOW)
    batch = opened(sealed.message)
    header = batch.header
    assert (header.n, header.prev, header.seq0, header.count, header.origin) == (8, end.hash, 41, 5, None)
    assert (header.at_boot_ms, header.at_utc_ms, header.clock, header.boot) == (5_000_000, NOW.utc_ms, 0, BOOT)
    assert sealed.end == End(n=8, hash=batch.hash, seq=45)
    assert sorted(batch.rows, key=lambda row: row.boot_ms) == rows(5)


def test_no_rows_make_an_empty_batch() -> None:
    sealed = SEALER.readings((), stream=Stream.ALARM, end=BEGUN, moment=NOW)
    assert opened(sealed.message).rows == ()
    assert sealed.end.seq == 0


def test_rows_ahead_of_the_moment_move_it_in_both_clocks() -> None:
    ahead = [replace(row, boot_ms=row.boot_ms + 1_000_050) for row in rows(2)]
    header = opened(SEALER.readings(ahead, stream=Stream.TELEMETRY, end=BEGUN, moment=NOW).message).header
    assert NOW.utc_ms is not None
    assert (header.at_boot_ms - NOW.boot_ms, (header.at_utc_ms or 0) - NOW.utc_ms) == (51, 51)
    unknown = Moment(boot=BOOT, boot_ms=0)
    header = opened(SEALER.readings(ahead, stream=Stream.TELEMETRY, end=BEGUN, moment=unknown).message).header
    assert (header.at_boot_ms, header.at_utc_ms) == (5_000_051, None)


def test_rows_of_an_earlier_run_keep_their_numbers_and_origin_and_count_nothing_here() -> None:
    sealed = SEALER.taken_over(
        rows(5), seq0=21, origin=OLD_RUN, boot=b"\x0b" * 16, stream=Stream.TELEMETRY, end=End(n=1, hash=b"\x01" * 32)
    )
    header = opened(sealed.message).header
    assert (header.origin, header.seq0, header.count, header.boot) == (OLD_RUN, 21, 5, b"\x0b" * 16)
    assert (header.at_boot_ms, header.at_utc_ms, header.clock) == (4_000_004, None, Clock.UNKNOWN)
    assert sealed.end.seq == 0


def test_a_record_is_numbered_in_the_chain_and_not_among_the_rows() -> None:
    start = Start(previous=None, version="1")
    sealed = SEALER.record(Kind.START, start.encode(), stream=Stream.ALARM, end=End(), moment=NOW)
    header = opened(sealed.message).header
    assert (header.kind, header.n, header.prev, header.seq0, header.count) == (Kind.START, 1, NO_HASH, 1, 0)
    assert (sealed.end.n, sealed.end.seq) == (1, 0)


def test_sealing_the_same_twice_gives_the_same_bytes() -> None:
    one, two = (SEALER.readings(rows(9), stream=Stream.TELEMETRY, end=BEGUN, moment=NOW) for _ in range(2))
    assert one == two


@settings(max_examples=30)
@given(some=_ROWS)
def test_every_piece_opens_at_the_center(some: list[Row]) -> None:
    unique = list({(row.path, row.boot_ms): row for row in some}.values())
    end = BEGUN
    for piece in cut(unique, Limits(rows=10, plain_bytes=4000)):
        sealed = SEALER.readings(piece, stream=Stream.TELEMETRY, end=end, moment=NOW)
        assert opened(sealed.message).header.count == len(piece)
        end = sealed.end
    assert end.seq == len(unique)


@pytest.mark.parametrize(
    ("online", "metered", "wait_s"), [(True, False, 10), (True, True, 60), (False, False, 600), (False, True, 600)]
)
def test_the_pace_follows_the_link(*, online: bool, metered: bool, wait_s: float) -> None:
    assert Pace().wait_s(online=online, metered=metered) == wait_s
