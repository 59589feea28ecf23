import contextlib
import json
from dataclasses import replace

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire import cbor, senml
from agent.wire.ack import Ack, Range, Refused, Settled, open_ack, sign_ack
from agent.wire.batch import (
    NO_HASH,
    STEPPED,
    Clock,
    Coding,
    Header,
    Kind,
    Stream,
    decode_header,
    deflate,
    inflate,
    open_batch,
    peek,
    plain_of,
    record,
)
from agent.wire.errors import Reason, WireError
from agent.wire.hello import Chain as HelloChain
from agent.wire.hello import decode_hello, encode_hello
from agent.wire.keys import Verifier
from agent.wire.order import Order, open_order, sign_order
from agent.wire.records import body_of, change_key, decode_key, decode_result, decode_state
from agent.wire.senml import Row
from tests.agent.wire.craft import (
    ACK_KEY,
    CITY,
    NEW_KEY,
    NODE,
    NODE_KEY,
    ORDER_KEY,
    OTHER_KEY,
    ROWS,
    RUN_A,
    START,
    Chain,
    previous,
    rows,
)

NODE_KEYS = {NODE_KEY.kid: Verifier(NODE_KEY.public)}
ACK_KEYS = [Verifier(ACK_KEY.public)]
ORDER_KEYS = [Verifier(ORDER_KEY.public)]


def messages() -> dict[str, bytes]:
    chain = Chain(run=RUN_A)
    start = chain.start(replace(START, previous=previous(Chain(run=b"\x01" * 16), clean=True, seq=0)))
    return {
        "start": start,
        "plain": chain.readings(ROWS, squeeze=False),
        "deflated": chain.readings(rows(60)),
        "taken over": chain.taken_over(ROWS, origin=b"\x02" * 16, boot=b"\x03" * 16, seq0=9),
    }


@pytest.mark.parametrize("name", messages())
def test_every_single_flipped_bit_of_a_real_message_is_refused(name: str) -> None:
    message = messages()[name]
    open_batch(message, city=CITY, node=NODE, find_key=NODE_KEYS.get)
    for bit in range(len(message) * 8):
        flipped = bytearray(message)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WireError):
            open_batch(bytes(flipped), city=CITY, node=NODE, find_key=NODE_KEYS.get)


@pytest.mark.parametrize("name", messages())
def test_every_message_cut_short_is_refused(name: str) -> None:
    message = messages()[name]
    for length in range(len(message)):
        with pytest.raises(WireError):
            open_batch(message[:length], city=CITY, node=NODE, find_key=NODE_KEYS.get)


def test_every_single_flipped_bit_of_an_ack_is_refused() -> None:
    ack = Ack(
        nonce=b"\x0e" * 16,
        settled=(Settled(run=RUN_A, stream=Stream.TELEMETRY, n=3, hash=b"\x33" * 32),),
        center_utc_ms=1,
        window_bytes=2,
        rate_bytes_per_s=3,
    )
    payload = sign_ack(ack, city=CITY, node=NODE, signer=ACK_KEY)
    for bit in range(len(payload) * 8):
        flipped = bytearray(payload)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WireError):
            open_ack(bytes(flipped), city=CITY, node=NODE, center=ACK_KEYS)


def read_all(data: bytes) -> None:
    """Offer bytes to every reader; only WireError may come out."""
    for read in (
        lambda: cbor.decode(data),
        lambda: decode_header(data),
        lambda: peek(data),
        lambda: body_of(open_batch(data, city=CITY, node=NODE, find_key=NODE_KEYS.get)),
        lambda: open_ack(data, city=CITY, node=NODE, center=ACK_KEYS),
        lambda: open_order(data, city=CITY, node=NODE, center=ORDER_KEYS),
        lambda: decode_hello(data),
        lambda: decode_state(data),
        lambda: senml.unpack(data, node=f"{CITY}/{NODE}", at_boot_ms=1, at_utc_ms=None),
        lambda: record(data),
        lambda: inflate(data),
    ):
        with contextlib.suppress(WireError):
            read()


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_but_a_refusal(data: bytes) -> None:
    read_all(data)


_ITEMS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.dictionaries(st.integers(-3, 20) | st.text(max_size=2), inner, max_size=8)
        | st.builds(cbor2.CBORTag, st.integers(0, 70_000), inner)
    ),
    max_leaves=20,
)


@given(_ITEMS)
def test_arbitrary_items_raise_nothing_but_a_refusal(item: object) -> None:
    with contextlib.suppress(cbor2.CBOREncodeError):
        read_all(cbor2.dumps(item, canonical=True))


@given(st.data())
def test_a_damaged_message_raises_nothing_but_a_refusal(data: st.DataObject) -> None:
    message = bytearray(data.draw(st.sampled_from(sorted(messages().values()))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(message) - 1))
        message[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    read_all(bytes(message))


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_arbitrary_json_raises_nothing_but_a_refusal(item: object) -> None:
    read_all(json.dumps(item).encode())


@given(st.binary(max_size=60))
def test_what_decodes_encodes_to_the_same_bytes(data: bytes) -> None:
    with contextlib.suppress(WireError):
        assert cbor.encode(cbor.decode(data)) == data


@pytest.mark.parametrize(
    "tag", [0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799]
)
@pytest.mark.parametrize("value", [0, "2026-11-22", b"\x01", [1, 2], "a*"])
def test_no_tag_makes_the_decoder_work_for_a_stranger(tag: int, value: object) -> None:
    with pytest.raises(WireError, match="form"):
        cbor.decode(cbor2.dumps(cbor2.CBORTag(tag, value)))


def test_no_tag_at_all_turns_into_something_else_than_a_tag() -> None:
    for tag in range(65536):
        head = bytes([0xC0 | tag]) if tag < 24 else b"\xd8" + bytes([tag]) if tag < 256 else b"\xd9" + tag.to_bytes(2)
        with contextlib.suppress(WireError):
            assert isinstance(cbor.decode(head + b"\x00"), cbor2.CBORTag)


# -- round trips ----------------------------------------------------------------------------------------------------

_N = st.integers(1, 2**53 - 1)
_ID = st.binary(min_size=16, max_size=16)
_HASH = st.binary(min_size=32, max_size=32)
_NAME = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True)
_TEXT = st.text(max_size=64)
_MS = st.integers(0, 2**48)
_FLAGS = st.lists(_NAME, unique=True, max_size=3).map(lambda flags: tuple(sorted(flags)))


@st.composite
def headers(draw: st.DrawFn) -> Header:
    kind = draw(st.sampled_from(Kind))
    streams = {
        Kind.TIME: [Stream.TELEMETRY],
        Kind.KEY: [Stream.ALARM],
        Kind.NOTE: [Stream.ALARM],
        Kind.RESULT: [Stream.ALARM],
    }
    n = 1 if kind is Kind.START else draw(st.integers(2, 2**53 - 1))
    readings = kind is Kind.READINGS
    run = draw(_ID)
    origin = draw(st.none() | _ID | st.just(run)) if readings else None
    utc = None if origin is not None else draw(st.none() | _MS)
    clock: int = Clock.UNKNOWN if utc is None else draw(st.sampled_from([Clock.SYNCHRONISED, Clock.HOLDOVER]))
    return Header(
        kind=kind,
        city=draw(_NAME),
        node=draw(_NAME),
        stream=draw(st.sampled_from(streams.get(kind, list(Stream)))),
        n=n,
        prev=NO_HASH if n == 1 else draw(_HASH.filter(lambda prev: prev != NO_HASH)),
        run=run,
        boot=draw(_ID),
        count=draw(st.integers(0, 5000)) if readings else 0,
        seq0=draw(st.integers(1, 2**53 - 5002)),
        at_boot_ms=draw(_MS),
        at_utc_ms=utc,
        clock=clock + (STEPPED if origin is None and draw(st.booleans()) else 0),
        coding=draw(st.sampled_from(Coding)),
        digest=draw(_HASH),
        origin=origin,
    )


@given(headers())
def test_a_header_comes_back(header: Header) -> None:
    assert decode_header(header.encode()) == header


@st.composite
def packs(draw: st.DrawFn) -> tuple[list[Row], int, int | None]:
    values = (
        st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | _TEXT
    )
    at_boot_ms = draw(_MS)
    keys = draw(
        st.lists(st.tuples(st.sampled_from(["a/b", "a/c", "air/pm2_5"]), st.integers(0, at_boot_ms)), unique=True)
    )
    units = {"a/b": "m", "a/c": "Cel", "air/pm2_5": "ug/m3"}
    found = [
        Row(path=path, unit=units[path], boot_ms=boot_ms, value=draw(values), flags=draw(_FLAGS))
        for path, boot_ms in keys
    ]
    return found, at_boot_ms, draw(st.none() | _MS)


@given(packs())
def test_rows_come_back_grouped_by_channel(made: tuple[list[Row], int, int | None]) -> None:
    some, at_boot_ms, at_utc_ms = made
    plain = senml.pack(some, node="c/n", at_boot_ms=at_boot_ms, at_utc_ms=at_utc_ms)
    back = senml.unpack(plain, node="c/n", at_boot_ms=at_boot_ms, at_utc_ms=at_utc_ms)
    order = list(dict.fromkeys(row.path for row in some))
    assert back == sorted(some, key=lambda row: order.index(row.path))
    assert senml.pack(back, node="c/n", at_boot_ms=at_boot_ms, at_utc_ms=at_utc_ms) == plain


@given(st.binary(max_size=2000))
def test_a_body_comes_back_from_its_shorter_form(plain: bytes) -> None:
    coding, body = deflate(plain)
    assert len(body) <= len(plain)
    assert (inflate(body) if coding is Coding.DEFLATE else body) == plain


_SETTLED = st.builds(
    Settled,
    run=_ID,
    stream=st.sampled_from(Stream),
    n=st.integers(0, 2**53 - 1),
    hash=_HASH,
    ranges=st.lists(
        st.builds(lambda a, b, name: Range(first=min(a, b), last=max(a, b), hash=name), _N, _N, _HASH), max_size=3
    ).map(tuple),
)
_REFUSED = st.builds(Refused, run=_ID, stream=st.sampled_from(Stream), n=_N, hash=_HASH, reason=_TEXT)


@given(
    st.builds(
        Ack,
        nonce=_ID,
        settled=st.lists(_SETTLED, max_size=4).map(tuple),
        center_utc_ms=_MS,
        window_bytes=_MS,
        rate_bytes_per_s=_MS,
        refused=st.lists(_REFUSED, max_size=3).map(tuple),
        answers_hello=st.booleans(),
    )
)
def test_an_ack_comes_back(ack: Ack) -> None:
    payload = sign_ack(ack, city=CITY, node=NODE, signer=ACK_KEY)
    assert open_ack(payload, city=CITY, node=NODE, center=ACK_KEYS) == ack


def test_a_long_reason_is_cut_so_that_the_ack_still_counts() -> None:
    refused = Refused(run=RUN_A, stream=Stream.ALARM, n=1, hash=NO_HASH, reason="é" * 999)
    ack = Ack(nonce=RUN_A, settled=(), center_utc_ms=0, window_bytes=0, rate_bytes_per_s=0, refused=(refused,))
    payload = sign_ack(ack, city=CITY, node=NODE, signer=ACK_KEY)
    assert open_ack(payload, city=CITY, node=NODE, center=ACK_KEYS).refused[0].reason == "é" * 256


_ORDER_NAME = st.from_regex(r"[a-z][a-z_.]{0,63}", fullmatch=True)


@given(
    st.builds(
        Order,
        nonce=_ID,
        id=_ID,
        expires_s=st.integers(0, 10**6),
        name=_ORDER_NAME,
        arguments=st.dictionaries(_TEXT, _TEXT, max_size=32),
    )
)
def test_an_order_comes_back(order: Order) -> None:
    payload = sign_order(order, city=CITY, node=NODE, signer=ORDER_KEY)
    assert open_order(payload, city=CITY, node=NODE, center=ORDER_KEYS) == order


_HELLO_CHAIN = st.builds(
    lambda run, stream, a, b, seq: HelloChain(run=run, stream=stream, first=min(a, b), last=max(a, b), last_seq=seq),
    _ID,
    st.sampled_from(Stream),
    _N,
    _N,
    st.integers(0, 2**53 - 1),
)


@given(st.lists(_HELLO_CHAIN, max_size=5), st.integers(1, 60), _ID, _ID, _ID)
def test_the_pages_of_a_hello_come_back(
    some: list[HelloChain], times: int, nonce: bytes, run: bytes, boot: bytes
) -> None:
    held = some * times
    pages = [decode_hello(page) for page in encode_hello(nonce, run, boot, held)]
    assert [chain for page in pages for chain in page.chains] == held
    assert [(page.page, page.pages) for page in pages] == [(at, len(pages)) for at in range(1, len(pages) + 1)]
    assert {(page.nonce, page.run, page.boot) for page in pages} == {(nonce, run, boot)}


def test_peek_reads_a_header_and_needs_no_key() -> None:
    header = peek(messages()["deflated"])
    assert (header.kind, header.count, header.n) == (Kind.READINGS, 60, 3)
    assert plain_of(messages()["deflated"]).count(b'"v"') == 60
    assert plain_of(messages()["plain"]).count(b'"v"') == 3


def test_a_reason_stands_in_the_text_of_the_refusal() -> None:
    assert str(WireError(Reason.COUNT, "2 of 3")) == "count: 2 of 3"


def test_a_proof_for_another_change_and_an_unknown_outcome_are_refused() -> None:
    other = change_key(NEW_KEY, old=OTHER_KEY.public, city=CITY, node=NODE)
    with pytest.raises(WireError, match="another change"):
        decode_key(replace(other, old=NODE_KEY.public).encode(), city=CITY, node=NODE)
    with pytest.raises(WireError, match="no outcome"):
        decode_result(b'{"outcome":"maybe"}')
