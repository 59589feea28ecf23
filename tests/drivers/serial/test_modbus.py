import asyncio
import os
import struct
import tty

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.bus import Bus
from drivers.driver import OptionValue, Send
from drivers.errors import OptionError
from drivers.reading import Reading
from drivers.serial.modbus import make
from drivers.serial.modbus_decode import decode
from drivers.serial.rtu import sealed

S = 1_000_000_000
Table = dict[str, OptionValue]


def _register(**keys: OptionValue) -> Table:
    return {"channel": "x", "register": 0, **keys}


def _decoded(data: bytes, *registers: Table, function: int = 3) -> dict[str, object]:
    frame = sealed(bytes((1, function, len(data))) + data)
    listed: list[OptionValue] = [{"function": function, **one} for one in registers]
    return {one.channel: one.value for one in decode("modbus", {"registers": listed}, [frame]).readings}


@pytest.mark.parametrize(
    ("raw", "keys", "value"),
    [
        ("0959", {"scale": "0.1"}, 239.3),
        ("ff9c", {"type": "s16", "scale": "0.1"}, -10.0),
        ("0190", {"scale": "0.1", "offset": "-40"}, 0.0),
        ("1234", {"order": "BA"}, 0x3412),
        ("00010002", {"type": "u32"}, 0x00010002),
        ("00020001", {"type": "u32", "order": "CDAB"}, 0x00010002),
        ("01000200", {"type": "u32", "order": "BADC"}, 0x00010002),
        ("02000100", {"type": "u32", "order": "DCBA"}, 0x00010002),
        ("fffffffe", {"type": "s32"}, -2),
        ("43663334", {"type": "f32", "decimals": 1}, 230.2),
        ("462a7521", {"type": "f32", "scale": "1000", "decimals": 1}, 10909282.2),
        ("33344366", {"type": "f32", "order": "CDAB", "decimals": 1}, 230.2),
        ("0001", {"type": "bool"}, True),
        ("0004", {"bit": 2}, True),
        ("0004", {"bit": 3}, False),
        ("0030", {"mask": 0xF0}, 3),
        ("0002", {"states": {"2": "charging"}}, "charging"),
        ("0007", {"states": {"2": "charging"}}, "7"),
    ],
)
def test_a_register_is_read_as_its_table_says(raw: str, keys: Table, value: object) -> None:
    found = _decoded(bytes.fromhex(raw), _register(**keys))["x"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("raw", "keys"),
    [
        ("7fff", {"invalid": [32767, 65535]}),
        ("ffff", {"type": "s16", "invalid": [65535]}),
        ("7fc00000", {"type": "f32"}),
        ("7f800000", {"type": "f32"}),
        ("ffffffff", {"type": "f32", "invalid": [0xFFFFFFFF]}),
    ],
)
def test_what_a_unit_means_by_no_value_is_missing(raw: str, keys: Table) -> None:
    assert _decoded(bytes.fromhex(raw), _register(**keys)) == {}


def test_coils_and_discrete_inputs_are_booleans() -> None:
    both = [_register(block="a"), _register(channel="y", register=9, block="a")]
    assert _decoded(b"\x01\x02", *both, function=1) == {"x": True, "y": True}
    assert _decoded(b"\x00\x02", *both, function=2) == {"x": False, "y": True}


@given(st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**99), max_value=2.0**99))
def test_any_float_survives_the_registers(value: float) -> None:
    found = _decoded(struct.pack(">f", value), _register(type="f32"))["x"]
    assert isinstance(found, float)
    assert struct.pack(">f", found) == struct.pack(">f", value) or found == value == 0


def test_registers_of_a_block_are_asked_together_and_others_apart() -> None:
    listed: list[OptionValue] = [
        {"channel": "a", "register": 4, "block": "one", "function": 4},
        {"channel": "b", "register": 1, "block": "one", "function": 4, "type": "f32"},
        {"channel": "c", "register": 4},
        {"channel": "d", "register": 4, "bit": 1},
        {"channel": "e", "register": 5},
    ]
    asked = [str(one.request) for one in make("modbus", "m", {"registers": listed}, None).questions]
    assert asked == [
        "unit 1 function 4 register 1 count 4",
        "unit 1 function 3 register 4 count 1",
        "unit 1 function 3 register 5 count 1",
    ]


@pytest.mark.parametrize(
    ("registers", "says"),
    [
        ([], "nothing to ask"),
        (["a"], "not a table"),
        ([{"channel": "x"}], "counted from 0"),
        ([_register(channel="X")], "no channel name"),
        ([_register(function=6)], "3 holding"),
        ([_register(type="u64")], "u16, s16"),
        ([_register(order="ACBD")], "ABCD"),
        ([_register(scale=0.1)], "in quotes"),
        ([_register(scale="0")], "every value 0"),
        ([_register(colour="red")], "unknown"),
        ([_register(range=[5, 1])], "low below high"),
        ([_register(range=["a", "b"])], "low below high"),
        ([_register(range=[1])], "low below high"),
        ([_register(invalid="a")], "whole numbers"),
        ([_register(invalid=[1.5])], "whole numbers"),
        ([_register(states={"a": "b"})], "is not like"),
        ([_register(states="b")], "not a table"),
        ([_register(bit=16)], "0 to 15"),
        ([_register(kind="thing")], "gauge"),
        ([_register(zero="no")], "ok or suspect"),
        ([_register(unit=5)], "not a text"),
        ([_register(stuck_after_s=-1)], "above 0"),
        ([_register(function=1, type="u16")], "deliver bool"),
        ([_register(), _register()], "already the name"),
        ([_register(block="b"), _register(channel="y", register=200, block="b")], "beyond"),
        ([_register(register=70000)], "0 to 65535"),
    ],
)
def test_a_wrong_register_says_which_key_and_what_is_allowed(registers: list[OptionValue], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        make("modbus", "m", {"registers": registers}, None)


def test_a_pace_beyond_the_unit_is_refused_and_missed_polls_are_not_made_up_for() -> None:
    meter = make("modbus", "m", {"registers": [_register()]}, 1.0)
    assert len(meter.start(S)) == 1
    assert meter.receive(b"x", S) == []
    assert len(meter.tick(10 * S)) == 1
    assert meter.deadline() == 11 * S
    assert meter.tick(10 * S) == []
    with pytest.raises(OptionError, match="too fast"):
        make("modbus", "m", {"registers": [_register()]}, 0.01)


def test_faults_make_the_other_channels_doubtful_and_are_named() -> None:
    faults: OptionValue = {"0": "lamp", "3": "memory"}
    both = [_register(channel="status", faults=faults, block="b"), _register(channel="co2", register=1, block="b")]
    listed: list[OptionValue] = [*both]
    decoded = decode("modbus", {"registers": listed}, [sealed(b"\x01\x03\x04\x00\x09\x01\x90")])
    flags = {one.channel: [str(flag) for flag in one.quality] for one in decoded.readings}
    assert flags == {"status": [], "co2": ["device_error"]}
    assert decoded.notes == ("the unit reports: lamp, memory",)


def test_frames_without_a_list_are_shown_plainly_wherever_they_are_cut() -> None:
    raw = bytes.fromhex("110304008d008efbbd")
    for chunks in ([raw], [raw[:3], raw[3:]], [bytes((byte,)) for byte in raw], [b"\x00\x11" + raw]):
        assert [one.value for one in decode("modbus_rtu", {}, chunks).readings] == [141, 142]
    bits = decode("modbus", {}, [sealed(b"\x01\x01\x01\x05")]).readings
    assert [one.value for one in bits] == [True, False, True] + [False] * 5
    assert decode("modbus", {"unit": 3}, [raw]).reasons == ("a frame of unit 17, not of unit 3",)
    assert "incomplete: 6 of 9" in decode("modbus", {}, [raw[:6]]).reasons[0]
    assert "noise" in decode("modbus", {}, [b"\x00\x00"]).reasons[0]
    assert "checksum: expected d5 c5" in decode("modbus", {}, [bytes.fromhex("fe0400030001d5c6")]).reasons[0]


def test_a_reply_that_fits_no_declared_request_is_no_reading() -> None:
    decoded = decode("modbus", {"registers": [_register()]}, [sealed(b"\x01\x03\x04\x00\x00\x00\x01")])
    assert decoded.readings == ()
    assert "answers no request" in decoded.reasons[0]


def test_a_real_pymodbus_server_on_a_line_is_read() -> None:
    async def read() -> list[Reading]:
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        data = SimData(0, values=[2393, 65436, 0x4366, 0x3334], datatype=DataType.REGISTERS)
        server = ModbusSerialServer(SimDevice(7, simdata=[data]), port=os.ttyname(theirs), baudrate=9600)
        task = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0.3)
        listed: list[OptionValue] = [
            {"channel": "voltage", "register": 0, "scale": "0.1", "unit": "V", "block": "a"},
            {"channel": "temperature", "register": 1, "type": "s16", "scale": "0.1", "unit": "Cel", "block": "a"},
            {"channel": "power", "register": 2, "type": "f32", "decimals": 1, "unit": "W", "function": 4},
        ]
        bus = Bus([make("modbus", "m", {"unit": 7, "registers": listed, "timeout": "2 s"}, None)])
        loop = asyncio.get_running_loop()
        began, found = loop.time(), list[Reading]()
        events = bus.start(0)
        while len(found) < 3 and loop.time() - began < 10:
            for event in events:
                if isinstance(event, Send):
                    os.write(ours, event.data)
                elif isinstance(event, Reading):
                    found.append(event)
            await asyncio.sleep(0.01)
            now_ns = round((loop.time() - began) * S)
            events = bus.tick(now_ns)
            try:
                events += bus.receive(os.read(ours, 4096), now_ns)
            except BlockingIOError:
                continue
        await server.shutdown()  # type: ignore[no-untyped-call]  # theirs has no annotation
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        os.close(ours)
        os.close(theirs)
        return found

    found = asyncio.run(read())
    assert {one.channel: one.value for one in found} == {"voltage": 239.3, "temperature": -10.0, "power": 230.2}
