"""What our Modbus master asks and believes, against two masters that others wrote: pymodbus and minimalmodbus."""

import struct
from dataclasses import dataclass, field

import minimalmodbus
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.exceptions import ModbusIOException
from pymodbus.framer.rtu import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from drivers.driver import Ask, OptionValue, Transaction
from drivers.reading import Reading
from drivers.serial.modbus import make
from drivers.serial.rtu import sealed

REQUESTS: dict[int, type[ModbusPDU]] = {
    1: ReadCoilsRequest,
    2: ReadDiscreteInputsRequest,
    3: ReadHoldingRegistersRequest,
    4: ReadInputRegistersRequest,
}
ORDERS = {
    "ABCD": minimalmodbus.BYTEORDER_BIG,
    "DCBA": minimalmodbus.BYTEORDER_LITTLE,
    "BADC": minimalmodbus.BYTEORDER_BIG_SWAP,
    "CDAB": minimalmodbus.BYTEORDER_LITTLE_SWAP,
}
WIDTHS = {"u16": 1, "s16": 1, "u32": 2, "s32": 2, "f32": 2}
THEIR_TYPES = {
    "u16": ModbusClientMixin.DATATYPE.UINT16,
    "s16": ModbusClientMixin.DATATYPE.INT16,
    "u32": ModbusClientMixin.DATATYPE.UINT32,
    "s32": ModbusClientMixin.DATATYPE.INT32,
    "f32": ModbusClientMixin.DATATYPE.FLOAT32,
}
units, addresses = st.integers(1, 247), st.integers(0, 0xFFFF - 2000)
types, orders = st.sampled_from(list(WIDTHS)), st.sampled_from(list(ORDERS))


@dataclass
class FakeSerial:
    """As much of a serial port as minimalmodbus looks at; it has one thing to say."""

    says: bytes = b""
    heard: bytes = b""
    port: str = "none"
    is_open: bool = True
    baudrate: int = 4_000_000
    timeout: float = 0.0
    closed: list[str] = field(default_factory=list)

    def open(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.closed.append(self.port)

    def reset_input_buffer(self) -> None:
        self.heard = b""

    def reset_output_buffer(self) -> None:
        self.heard = b""

    def write(self, data: bytes) -> int:
        self.heard += data
        return len(data)

    def read(self, size: int) -> bytes:
        return self.says[:size]

    def flush(self) -> None:
        self.closed.clear()


def ours(unit: int, *registers: dict[str, OptionValue]) -> list[Transaction]:
    driver = make("modbus", "m", {"unit": unit, "registers": list(registers)}, None)
    return [event.transaction for event in driver.start(0) if isinstance(event, Ask)]


def believed(transaction: Transaction, reply: bytes) -> list[int | float | bool | str] | None:
    """Values that we take from a reply; None when we take it for none."""
    verdict = transaction.match(reply, 1)
    return None if verdict is None else [one.value for one in verdict.events if isinstance(one, Reading)]


def theirs(unit: int, reply: bytes) -> tuple[FakeSerial, minimalmodbus.Instrument]:
    wire = FakeSerial(says=reply)
    return wire, minimalmodbus.Instrument(wire, unit)


def pymodbus_request(function: int, unit: int, register: int, count: int) -> bytes:
    pdu = REQUESTS[function](address=register, count=count, dev_id=unit)
    return FramerRTU(DecodePDU(False)).buildFrame(pdu)


def pymodbus_reply(unit: int, reply: bytes) -> ModbusPDU | None:
    try:
        return FramerRTU(DecodePDU(False)).handleFrame(reply, unit, 0)[1]
    except ModbusIOException:
        return None


def read_value(master: minimalmodbus.Instrument, kind: str, order: str, function: int, register: int) -> float:
    signed = kind in ("s16", "s32")
    if kind == "f32":
        return float(master.read_float(register, functioncode=function, byteorder=ORDERS[order]))
    if WIDTHS[kind] == 2:
        return int(master.read_long(register, functioncode=function, signed=signed, byteorder=ORDERS[order]))
    value = int(master.read_register(register, functioncode=function, signed=signed))
    if order in ("ABCD", "CDAB"):
        return value
    return int.from_bytes(value.to_bytes(2, "little", signed=signed), "big", signed=signed)  # it swaps longs only


def same(one: float, other: float) -> bool:
    return one == other or struct.pack(">f", one) == struct.pack(">f", other)


@given(
    unit=units,
    register=addresses,
    function=st.sampled_from((3, 4)),
    kind=types,
    order=orders,
    raw=st.binary(min_size=4, max_size=4),
)
def test_a_value_is_asked_and_understood_as_the_others_do(
    *, unit: int, register: int, function: int, kind: str, order: str, raw: bytes
) -> None:
    data = raw[: 2 * WIDTHS[kind]]
    reply = sealed(bytes((unit, function, len(data))) + data)
    (asked,) = ours(unit, {"channel": "x", "register": register, "function": function, "type": kind, "order": order})
    wire, master = theirs(unit, reply)
    value = read_value(master, kind, order, function, register)
    assert asked.request == wire.heard == pymodbus_request(function, unit, register, WIDTHS[kind])
    found = believed(asked, reply)
    assert found is not None
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - no number: no value
        assert found == []
        return
    (mine,) = found
    assert isinstance(mine, int | float)
    assert same(mine, value)
    if order in ("ABCD", "CDAB"):  # pymodbus swaps words, never bytes
        pdu = pymodbus_reply(unit, reply)
        assert pdu is not None
        said = ModbusClientMixin.convert_from_registers(
            pdu.registers, THEIR_TYPES[kind], word_order="big" if order == "ABCD" else "little"
        )
        assert isinstance(said, int | float)
        assert same(mine, said)


@given(
    unit=units,
    first=addresses,
    function=st.sampled_from((1, 2)),
    places=st.sets(st.integers(0, 1999), min_size=1, max_size=8),
    chance=st.randoms(use_true_random=False),
)
def test_bits_are_asked_and_understood_as_the_others_do(
    *, unit: int, first: int, function: int, places: set[int], chance: object
) -> None:
    assert hasattr(chance, "randbytes")
    low, count = min(places), max(places) - min(places) + 1
    data: bytes = chance.randbytes((count + 7) // 8)
    reply = sealed(bytes((unit, function, len(data))) + data)
    listed: list[dict[str, OptionValue]] = [
        {"channel": f"b{at}", "register": first + at, "function": function, "block": "all"} for at in sorted(places)
    ]
    (asked,) = ours(unit, *listed)
    assert asked.request == pymodbus_request(function, unit, first + low, count)
    wire, master = theirs(unit, reply)
    bits = master.read_bits(first + low, count, functioncode=function)
    assert asked.request == wire.heard
    assert believed(asked, reply) == [bool(bits[at - low]) for at in sorted(places)]
    pdu = pymodbus_reply(unit, reply)
    assert pdu is not None
    assert believed(asked, reply) == [pdu.bits[at - low] for at in sorted(places)]


@given(
    unit=units,
    register=addresses,
    function=st.sampled_from((3, 4)),
    count=st.integers(1, 125),
    chance=st.binary(min_size=250, max_size=250),
)
def test_a_block_of_registers_is_asked_and_understood_as_the_others_do(
    *, unit: int, register: int, function: int, count: int, chance: bytes
) -> None:
    data = chance[: 2 * count]
    reply = sealed(bytes((unit, function, len(data))) + data)
    listed: list[dict[str, OptionValue]] = [
        {"channel": f"r{at}", "register": register + at, "function": function, "block": "all"}
        for at in sorted({0, count // 2, count - 1})
    ]
    (asked,) = ours(unit, *listed)
    wire, master = theirs(unit, reply)
    words = master.read_registers(register, count, functioncode=function)
    assert asked.request == wire.heard == pymodbus_request(function, unit, register, count)
    assert believed(asked, reply) == [words[at] for at in sorted({0, count // 2, count - 1})]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[int, int, int, bytes]:
    """A question (unit, function, register) for one register and what came back, which may be a little wrong."""
    unit, function, register = draw(units), draw(st.sampled_from((3, 4))), draw(addresses)
    said_by = draw(st.sampled_from((unit, unit % 247 + 1)))
    said_to = draw(st.sampled_from((function, 7 - function, function | 0x80)))
    length = draw(st.sampled_from((2, 2, 4, 0)))
    body = bytes((said_by, said_to)) + (b"\x02" if said_to & 0x80 else bytes((length,)) + bytes(range(7, 7 + length)))
    frame = bytearray(sealed(body))
    if draw(st.booleans()):
        frame[draw(st.integers(0, len(frame) - 1))] ^= 1 << draw(st.integers(0, 7))
    return unit, function, register, bytes(frame)


@settings(max_examples=1000)
@given(damaged())
def test_what_we_believe_both_others_believe_and_what_they_both_believe_we_do(
    case: tuple[int, int, int, bytes],
) -> None:
    unit, function, register, reply = case
    (asked,) = ours(unit, {"channel": "x", "register": register, "function": function})
    found = believed(asked, reply)
    _, master = theirs(unit, reply)
    try:
        minimal: float | None = master.read_register(register, functioncode=function)
    except minimalmodbus.ModbusException:
        minimal = None
    mine = found[0] if found else None
    assert mine == minimal
    pdu = pymodbus_reply(unit, reply)
    right = pdu is not None and pdu.function_code == function and len(pdu.registers) == 1
    assert (mine is None) == (not right)
    if pdu is not None and right:
        assert pdu.registers == [mine]


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 8, 10])
def test_a_refusal_is_one_to_all_three(code: int) -> None:
    reply = sealed(bytes((9, 0x83, code)))
    (asked,) = ours(9, {"channel": "x", "register": 1})
    assert believed(asked, reply) == []
    _, master = theirs(9, reply)
    with pytest.raises(minimalmodbus.ModbusException):
        master.read_register(1)
    pdu = pymodbus_reply(9, reply)
    assert pdu is not None
    assert pdu.isError()
