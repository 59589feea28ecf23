from collections.abc import Callable

import pytest

from agent.config.load import Parsed
from agent.config.model import ChannelOverride, Sensor
from drivers.driver import Line

Check = Callable[..., Parsed]

SONAR = '[sensor.river]\ndriver = "sonar"\nport = "usb:1-1.2"\nmount_height = "4.20 m"\n'


def test_a_sensor_is_read_with_all_its_keys(check: Check) -> None:
    parsed = check(
        SONAR
        + 'every = "250 ms"\nline = "4800 7E2"\nsilent_means = "submerged"\n'
        + 'counts = "cm"\nlabel = "x"\ntries = 3\nfactor = 2\nshare = 0.5\nfast = true\n'
        + 'skip = [1, "a"]\nmap = { b = 1.5 }\n'
        + '[sensor.river.channel.level]\nrange = ["-10 cm", "5 m"]\nmax_step_per_s = "0.1 m/s"\n'
        + 'stuck_after = "6 h"\nzero = "suspect"\n[sensor.river.channel.depth]\nmax_step_per_s = "2 cm"\nzero = "ok"\n'
    )
    assert parsed.problems == ()
    assert parsed.config is not None
    assert parsed.config.sensors == (
        Sensor(
            name="river",
            driver="sonar",
            port="usb:1-1.2",
            every_s=0.25,
            line=Line(baud=4800, data_bits=7, parity="E", stop_bits=2),
            options={
                "mount_height": "4.2 m",
                "counts": "cm",
                "label": "x",
                "tries": 3,
                "factor": 2,
                "share": 0.5,
                "fast": True,
                "skip": [1, "a"],
                "map": {"b": 1.5},
            },
            channels={
                "level": ChannelOverride(low=-0.1, high=5, max_step_per_s=0.1, stuck_after_s=21_600, zero="suspect"),
                "depth": ChannelOverride(max_step_per_s=0.02, zero="ok"),
            },
            silent_means="submerged",
        ),
    )
    (fitted,) = parsed.fitted
    assert fitted.line == Line(baud=4800, data_bits=7, parity="E", stop_bits=2)
    assert fitted.driver is not None


def test_a_model_name_is_a_driver_and_a_probe_of_the_box_needs_no_port(check: Check) -> None:
    parsed = check('[sensor.a]\ndriver = "dust2"\nport = "tcp://h:4001"\n[sensor.b]\ndriver = "inner"\n')
    assert parsed.problems == ()
    assert parsed.config is not None
    assert [sensor.port for sensor in parsed.config.sensors] == ["tcp://h:4001", ""]


@pytest.mark.parametrize("port", ["/dev/ttyUSB0", "path:/dev/ttyACM1"])
def test_a_port_that_may_change_its_name_is_warned_about_and_used(check: Check, port: str) -> None:
    parsed = check(f'[sensor.a]\ndriver = "dust"\nport = "{port}"\n')
    (problem,) = parsed.problems
    assert (problem.severity, problem.line, problem.column) == ("warning", 3, 8)
    assert "usb:1-1.2" in problem.cure
    assert parsed.config is not None
    assert parsed.config.sensors


@pytest.mark.parametrize("port", ["tcp://10.0.0.5:502", "tcp://[fe80::1]:502"])
def test_a_serial_server_at_the_port_of_modbus_tcp_is_warned_about_and_used(check: Check, port: str) -> None:
    parsed = check(f'[sensor.a]\ndriver = "meter"\nport = "{port}"\n')
    (problem,) = parsed.problems
    assert (problem.severity, problem.line, problem.what) == ("warning", 3, "this server may speak Modbus TCP")
    assert f"write modbus-{port.removesuffix(':502')}" in problem.cure
    assert parsed.config is not None
    assert parsed.config.sensors


def test_only_a_driver_that_asks_modbus_registers_goes_over_modbus_tcp(check: Check) -> None:
    parsed = check(
        '[sensor.a]\ndriver = "meter"\nport = "modbus-tcp://h"\n[sensor.b]\ndriver = "dust"\nport = "modbus-tcp://g"\n'
    )
    (problem,) = parsed.problems
    assert (problem.severity, problem.line, problem.what) == ("error", 6, "Dust sensor speaks no Modbus")
    assert "tcp://host:port" in problem.cure
    assert parsed.config is not None
    assert [sensor.port for sensor in parsed.config.sensors] == ["modbus-tcp://h:502"]


@pytest.mark.parametrize(
    ("text", "line", "column", "what", "cure"),
    [
        ('driver = "dusst"', 2, 10, "no driver, profile or model has this name", 'did you mean "dust"?'),
        ('driver = "meterr"', 2, 10, "no driver, profile or model has this name", 'did you mean "meter"?'),
        (
            'driver = "zzz"\nfoo = 1',
            2,
            10,
            "no driver, profile or model has this name",
            "`gardu driver list` shows all",
        ),
        ('driver = "broken"', 2, 10, "the profile cannot be used: register voltage: expected 239.3 got 2393", None),
        ('port = "usb:1-1"', 1, 9, '[sensor.a] lacks "driver"', None),
        ("driver = 5", 2, 10, '"driver" is a number', None),
        ('driver = "dust"', 1, 9, '[sensor.a] lacks "port"', 'add where it is plugged in: port = "usb:1-1.2"'),
        ('driver = "dust"\nprot = "usb:1-1"', 3, 1, 'unknown key "prot"', 'did you mean "port"?'),
        ('driver = "zzzz"\nport = "usb:1-1"\nevry = 1', 4, 1, 'unknown key "evry"', 'did you mean "every"?'),
        ('driver = "dust"\nport = 5', 3, 8, '"port" is a number', None),
        ('driver = "dust"\nport = "ttyUSB0"', 3, 8, "'ttyUSB0' names no port", None),
        ('driver = "inner"\nport = "usb:1-1"', 3, 1, "A probe has no port", "remove this line"),
        ('driver = "dust"\nport = "usb:1-1"\nevery = "100 ms"', 4, 9, "Dust sensor cannot be read so often", None),
        ('driver = "dust"\nport = "usb:1-1"\nline = "9600"', 4, 8, "this is no serial line", None),
        ('driver = "dust"\nport = "usb:1-1"\nline = "9999999 8N1"', 4, 8, "this is no serial line", None),
        ('driver = "words"\nport = "usb:1-1"\nfields = [1]', 4, 11, "fields.0: a field is text", None),
        ('driver = "words"\nport = "usb:1-1"\nfields = ["whole"]', 1, 1, "other.place: is missing", None),
        ('driver = "words"\nport = "usb:1-1"\nfields = ["torn"]', 2, 10, "the profile cannot be used: torn map", None),
    ],
)
def test_a_wrong_sensor_is_told(
    *, check: Check, text: str, line: int, column: int, what: str, cure: str | None
) -> None:
    parsed = check(f"[sensor.a]\n{text}\n")
    problem = next(problem for problem in parsed.problems if problem.what == what)
    assert (problem.line, problem.column) == (line, column)
    assert cure in {None, problem.cure}
    assert parsed.config is not None
    assert parsed.config.sensors == ()


def test_a_sensor_that_is_no_section_is_told(check: Check) -> None:
    (problem,) = check("[sensor]\na = 5\n").problems
    assert problem.cure == "write [sensor.a] and its keys below"


def test_a_sensor_cannot_take_the_name_of_the_box(check: Check) -> None:
    (problem,) = check('[sensor.host]\ndriver = "inner"\n').problems
    assert problem.what == "a sensor cannot be called host"


@pytest.mark.parametrize(
    ("text", "what", "cure"),
    [
        ('counts = "m"', '"counts" cannot be this', 'did you mean "cm" or "mm"?'),
        ('counts = "inches"', '"counts" cannot be this', 'write "mm" or "cm"'),
        ("counts = 5", '"counts" is a number', 'write it like counts = "..."'),
        ("tries = 1.5", '"tries" is a number', "write it like tries = 1"),
        ("tries = true", '"tries" is true or false', "write it like tries = 1"),
        ("tries = 0", '"tries" is out of range', "write 1 or more"),
        ("tries = 10", '"tries" is out of range', "write 9 or less"),
        ('factor = "2"', '"factor" is text', "write it like factor = 1.5"),
        ("factor = nan", '"factor" is a number', "write a finite number"),
        ("factor = 0.25", '"factor" is out of range', "write 0.5 or more"),
        ("share = 2", '"share" is out of range', "write 1 or less"),
        ("fast = 1", '"fast" is a number', "write it like fast = true"),
        ('skip = "a"', '"skip" is text', "write it like skip = [...]"),
        ("skip = [1979-05-27]", '"0" is a date or time', 'put it in quotes: "1979-05-27"'),
        ("map = []", '"map" is a list', "write it like map = { ... }"),
        ("map = { a = inf }", '"a" is a number', "write a finite number"),
        ("counst = 1", 'unknown key "counst"', 'did you mean "counts"?'),
    ],
)
def test_an_option_is_checked_against_what_the_driver_declares(check: Check, text: str, what: str, cure: str) -> None:
    (problem,) = check(f"{SONAR}{text}\n").problems
    assert (problem.line, problem.what, problem.cure) == (5, what, cure)


@pytest.mark.parametrize(
    ("value", "what", "cure"),
    [
        ("4.2", '"mount_height": the unit is missing', 'write the unit: "4.2 m"'),
        ('"4.2"', '"mount_height": the unit is missing', 'write the unit: "4.2 m"'),
        ('"1 cm"', '"mount_height" is out of range', 'write "0.1 m" or more'),
        ('"1 km"', '"mount_height" is out of range', 'write "20 m" or less'),
        ("[]", '"mount_height" is a list', 'write it as text with a unit: "4.20 m"'),
    ],
)
def test_an_option_with_a_unit_is_converted_and_held_in_its_range(
    check: Check, value: str, what: str, cure: str
) -> None:
    (problem,) = check(SONAR.replace('"4.20 m"', value)).problems
    assert (problem.line, problem.column, problem.what, problem.cure) == (4, 16, what, cure)


def test_a_missing_option_is_told_with_its_example(check: Check) -> None:
    (problem,) = check(SONAR.replace("mount_height", "#")).problems
    assert problem.cure == 'add mount_height = "4 m": h'


@pytest.mark.parametrize(
    ("text", "what", "cure"),
    [
        ("[sensor.river.channel.levl]", 'this sensor has no channel "levl"', 'did you mean "level"?'),
        ("[sensor.river.channel.zzzzz]", 'this sensor has no channel "zzzzz"', "take one of the allowed channels"),
        (
            '[sensor.river.channel.level]\nrange = ["5 m", "1 m"]',
            "this range is upside down",
            'write range = ["1 m", "5 m"]',
        ),
        (
            '[sensor.river.channel.level]\nrange = ["5 m"]',
            "a range has two ends",
            'write range = ["4.20 m", "4.20 m"], the lower one first',
        ),
        (
            '[sensor.river.channel.level]\nrange = "5 m"',
            '"range" is text',
            'write range = ["4.20 m", "4.20 m"], the lower one first',
        ),
        ('[sensor.river.channel.level]\nrange = [0, "5 m"]', '"0": the unit is missing', 'write the unit: "0 m"'),
        (
            '[sensor.river.channel.level]\nmax_step_per_s = "0 m"',
            "a step is above 0",
            "write it above 0, or leave it out",
        ),
        (
            '[sensor.river.channel.level]\nmax_step_per_s = "1 V/s"',
            '"max_step_per_s": "V/s" is not a unit of length',
            'write it in one of mm, cm, dm, m, km, such as "4.20 m"',
        ),
        ('[sensor.river.channel.level]\nzero = "off"', '"zero" cannot be this', 'write "ok" or "suspect"'),
        ("[sensor.river]\nchannel = 1", '"channel" is a number', "write [sensor.river.channel.NAME]"),
    ],
)
def test_an_override_is_checked_against_the_channel(check: Check, text: str, what: str, cure: str) -> None:
    merged = SONAR + text.removeprefix("[sensor.river]\n")
    (problem,) = check(merged + "\n").problems
    assert (problem.what, problem.cure) == (what, cure)


def test_channels_that_the_options_decide_are_those_of_the_made_driver(check: Check) -> None:
    text = '[sensor.a]\ndriver = "words"\nport = "usb:1-1"\nfields = ["x"]\n[sensor.a.channel.y]\n'
    (problem,) = check(text).problems
    assert problem.allowed == "x"


def test_channels_that_cannot_be_known_are_not_judged(check: Check) -> None:
    sensor = '[sensor.a]\ndriver = "words"\nport = "usb:1-1"\n[sensor.a.channel.y]\n'
    (problem,) = check(sensor, '[alarm.a]\nwatch = "a/y"\nlevels = { a = "1 m" }\n').problems
    assert problem.what == '[sensor.a] lacks "fields", which its driver needs'
