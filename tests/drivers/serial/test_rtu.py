import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer.rtu import FramerRTU

from drivers.serial.rtu import Request, answer, crc16, exception_name, frame_at, sealed

CO2 = Request(unit=0xFE, function=4, register=3, count=1)


@given(st.binary(max_size=260))
def test_the_crc_agrees_with_pymodbus(data: bytes) -> None:
    assert sealed(data)[-2:] == FramerRTU.compute_CRC(data).to_bytes(2, "big")


def test_a_published_request_is_made_byte_for_byte() -> None:
    assert CO2.encode() == bytes.fromhex("fe 04 00 03 00 01 d5 c5")
    assert crc16(CO2.encode()[:-2]) == 0xC5D5


@pytest.mark.parametrize(
    ("function", "count", "data_bytes"), [(1, 1, 1), (1, 8, 1), (2, 9, 2), (3, 1, 2), (4, 125, 250)]
)
def test_the_length_of_a_reply_follows_from_the_request(function: int, count: int, data_bytes: int) -> None:
    assert Request(unit=1, function=function, register=0, count=count).data_bytes == data_bytes


@given(before=st.binary(max_size=40), after=st.binary(max_size=10))
def test_the_answer_is_found_between_any_bytes(before: bytes, after: bytes) -> None:
    reply = bytes.fromhex("fe04020190acd8")
    frame = answer(CO2, before + reply + after)
    assert frame is not None
    assert frame.data == b"\x01\x90"


@given(st.binary(max_size=300))
def test_noise_is_no_answer(data: bytes) -> None:
    frame = answer(CO2, data)
    assert frame is None or frame.kind == "exception"


def test_a_reply_inside_the_data_of_another_units_reply_is_not_ours() -> None:
    inner = bytes.fromhex("fe04020190acd8") + b"\x00"
    assert answer(CO2, sealed(b"\x02\x03\x08" + inner)) is None


@pytest.mark.parametrize(
    "frame",
    [
        sealed(b"\xfe\x03\x02\x01\x90"),
        sealed(b"\x01\x04\x02\x01\x90"),
        sealed(b"\xfe\x04\x04\x01\x90\x00\x00"),
        sealed(b"\xfe\x83\x02"),
        CO2.encode(),
        bytes.fromhex("fe04020388d5c5"),
    ],
    ids=["function", "unit", "length", "refused function", "echo", "crc"],
)
def test_unit_function_length_and_crc_must_all_be_right(frame: bytes) -> None:
    assert answer(CO2, frame) is None


def test_a_refusal_is_an_answer() -> None:
    frame = answer(CO2, b"\x00" + sealed(b"\xfe\x84\x06"))
    assert frame is not None
    assert (frame.kind, frame.code, frame.start, frame.end) == ("exception", 6, 1, 6)
    assert exception_name(6) == "exception 6: device busy"
    assert "unknown" in exception_name(99)


def test_half_frames_and_unknown_functions_are_no_frames() -> None:
    reply = bytes.fromhex("fe04020190acd8")
    assert all(frame_at(reply[:length], 0) is None for length in range(len(reply)))
    assert frame_at(sealed(b"\x01\x06\x00\x01\x00\x02"), 0) is None
    assert frame_at(sealed(b"\x01\x04\x05\x00\x01\x02\x03\x04"), 0) is None
    assert frame_at(sealed(b"\x01\x80\x02"), 0) is None
    request = frame_at(sealed(b"\x01\x04\x00\x01\x00\x02"), 0)
    assert request is not None
    assert request.kind == "request"
