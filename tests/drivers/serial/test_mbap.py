from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer.socket import FramerSocket
from pymodbus.pdu import DecodePDU

from drivers.errors import FrameError
from drivers.serial.mbap import Mbap
from drivers.serial.rtu import Request, sealed

ASK = Request(unit=7, function=3, register=4, count=1).encode()
SAID = b"\x07\x03\x02\x01\x90"
OTHER = b"\x07\x03\x02\x00\x07"


def _head(transaction: int, length: int, protocol: int = 0) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in (transaction, protocol, length))


def _frame(transaction: int, body: bytes) -> bytes:
    return _head(transaction, len(body)) + body


def _asked(times: int = 1, request: bytes = ASK) -> Mbap:
    mbap = Mbap()
    for _ in range(times):
        mbap.wrap(request)
    return mbap


@given(
    unit=st.integers(1, 255),
    function=st.integers(1, 4),
    register=st.integers(0, 0xFFFF),
    count=st.integers(1, 125),
    asked=st.integers(0, 5),
)
def test_a_request_is_what_pymodbus_would_send(
    *, unit: int, function: int, register: int, count: int, asked: int
) -> None:
    request = Request(unit=unit, function=function, register=register, count=count).encode()
    theirs = FramerSocket(DecodePDU(is_server=True)).encode(request[1:-2], unit, asked + 1)
    assert _asked(asked).wrap(request) == theirs


@given(cuts=st.lists(st.integers(0, 60), max_size=8), stale=st.integers(0, 2))
def test_an_answer_is_found_wherever_segments_are_cut_or_merged(cuts: list[int], stale: int) -> None:
    stream = _frame(2, OTHER) * stale + _frame(3, SAID) + _frame(3, OTHER)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    mbap = _asked(3)
    heard = b"".join(mbap.unwrap(stream[start:end]) for start, end in pairwise(edges))
    assert heard == sealed(SAID)


def test_a_late_answer_a_second_answer_and_one_that_nobody_asked_for_are_dropped() -> None:
    assert Mbap().unwrap(_frame(0, SAID)) == b""
    mbap = _asked(2)
    assert mbap.unwrap(_frame(1, OTHER)) == b""
    assert mbap.unwrap(_frame(2, SAID)) == sealed(SAID)
    assert mbap.unwrap(_frame(2, OTHER)) == b""


def test_a_server_that_is_no_gateway_may_call_itself_what_it_likes_and_a_unit_may_not() -> None:
    server = _asked(request=sealed(b"\xff" + ASK[1:-2]))
    assert server.unwrap(_frame(1, b"\x00" + SAID[1:])) == sealed(b"\xff" + SAID[1:])
    assert _asked().unwrap(_frame(1, b"\x08" + SAID[1:])) == sealed(b"\x08" + SAID[1:])


def test_transaction_numbers_begin_anew_after_65535() -> None:
    mbap = Mbap()
    numbers = [int.from_bytes(mbap.wrap(ASK)[:2], "big") for _ in range(65537)]
    assert numbers == [*range(1, 65536), 0, 1]


@pytest.mark.parametrize(
    "stream",
    [_head(1, 5, protocol=1) + SAID, _head(1, 2), _head(1, 255), sealed(SAID), b"junk and more of it"],
    ids=["protocol", "too short", "too long", "bytes of a serial line", "text"],
)
def test_what_is_no_modbus_tcp_cannot_be_followed_any_more(stream: bytes) -> None:
    mbap = _asked()
    heard = [bytes((byte,)) for byte in stream]
    with pytest.raises(FrameError, match="no Modbus TCP"):
        [mbap.unwrap(byte) for byte in heard]


@pytest.mark.parametrize("request_", [b"", b"\xff\x01\x86\x00\x00\x00\x00\x00\x79", ASK[:-1], b"\xff\xff"])
def test_a_question_of_another_protocol_never_leaves(request_: bytes) -> None:
    assert Mbap().wrap(request_) == b""


@given(st.lists(st.binary(max_size=300), max_size=30))
def test_arbitrary_bytes_keep_less_than_a_frame(chunks: list[bytes]) -> None:
    mbap = _asked()
    try:
        for chunk in chunks:
            mbap.unwrap(chunk)
            assert len(mbap._buffer) < 260
    except FrameError:
        return


def test_the_longest_frame_is_260_bytes() -> None:
    body = b"\x07\x03\xfa" + bytes(250)
    assert _asked().unwrap(_frame(1, body)) == sealed(body)
    assert _asked().unwrap(_frame(1, body + b"\x00")) == sealed(body + b"\x00")
