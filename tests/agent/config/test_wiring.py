from collections.abc import Callable

import pytest

from agent.config.load import Parsed

Check = Callable[..., Parsed]


def sensors(*sections: str) -> str:
    return "".join(f"[sensor.s{number}]\nport = 'usb:1-1'\n{section}\n" for number, section in enumerate(sections, 1))


def kept(parsed: Parsed) -> list[str]:
    assert parsed.config is not None
    return [sensor.name for sensor in parsed.config.sensors]


METER, GAS, DUST = "driver = 'meter'", "driver = 'gas'", "driver = 'dust'"


def test_units_with_their_own_addresses_share_a_port(check: Check) -> None:
    parsed = check(sensors(METER, f"{METER}\nunit = 2", f"{GAS}\nunit = 3"))
    assert parsed.problems == ()
    assert kept(parsed) == ["s1", "s2", "s3"]


@pytest.mark.parametrize(
    ("sections", "line", "column", "what", "given", "left"),
    [
        (
            (METER, f"{METER}\nline = '4800 8N1'"),
            7,
            8,
            "s1 speaks 9600 8N1 but s2 4800 8N1; one port has one line setting",
            "4800 8N1",
            ["s1"],
        ),
        (
            (f"{METER}\nline = '4800 8N1'", f"{METER}\nunit = 2"),
            7,
            10,
            "s1 speaks 4800 8N1 but s2 9600 8N1; one port has one line setting",
            "9600 8N1",
            ["s1"],
        ),
        ((DUST, DUST), 5, 8, "s1 (dust) must be alone on its port, but shares it with s2", "port = 'usb:1-1'", ["s1"]),
        ((METER, DUST), 5, 8, "s2 (dust) must be alone on its port, but shares it with s1", "port = 'usb:1-1'", ["s1"]),
        ((METER, METER), 6, 10, "unit 1 is both s1 and s2; each needs its own address", None, ["s1"]),
        (
            (METER, f"{METER}\nunit = 2", f"{METER}\nunit = 2"),
            11,
            8,
            "unit 2 is both s2 and s3; each needs its own address",
            "unit = 2",
            ["s1", "s2"],
        ),
        ((METER, GAS), 6, 10, None, "unit = 254, the driver's own", ["s1"]),
        ((GAS, METER), 3, 10, None, "unit = 254, the driver's own", ["s2"]),
    ],
)
def test_a_sensor_that_disturbs_another_on_its_port_is_told_and_left_out(
    *,
    check: Check,
    sections: tuple[str, ...],
    line: int,
    column: int,
    what: str | None,
    given: str | None,
    left: list[str],
) -> None:
    parsed = check(sensors(*sections))
    (problem,) = parsed.problems
    assert (problem.line, problem.column) == (line, column)
    assert what in {None, problem.what}
    assert given in {None, problem.given}
    assert problem.cure
    assert kept(parsed) == left


def test_the_cure_names_an_address_that_is_free(check: Check) -> None:
    (problem,) = check(sensors(METER, f"{METER}\nunit = 2", METER)).problems
    assert "unit = 3" in problem.cure


def test_a_sensor_wrong_by_itself_is_compared_but_costs_no_other(check: Check) -> None:
    parsed = check(sensors(f"{GAS}\nevery = '1 ms'", METER))
    assert [(problem.line, problem.severity) for problem in parsed.problems] == [(3, "error"), (4, "error")]
    assert kept(parsed) == ["s2"]


def test_two_spellings_of_one_port_are_one_port(check: Check) -> None:
    text = "[sensor.a]\nport = '/dev/ttyS0'\ndriver = 'dust'\n[sensor.b]\nport = 'path:/dev/ttyS0'\ndriver = 'dust'\n"
    assert check(text).errors == 1


def test_a_unit_that_answers_to_any_address_keeps_its_port_against_one_that_is_wrong(check: Check) -> None:
    assert kept(check(sensors(GAS, f"{METER}\nevery = '1 ms'"))) == ["s1"]


def test_units_behind_one_gateway_may_stand_on_different_lines_but_not_at_one_address(check: Check) -> None:
    text = sensors(METER, f"{METER}\nunit = 2\nline = '4800 8N1'").replace("usb:1-1", "modbus-tcp://10.0.0.9")
    parsed = check(text)
    assert parsed.problems == ()
    assert kept(parsed) == ["s1", "s2"]
    (problem,) = check(text.replace("unit = 2\n", "")).problems
    assert problem.what == "unit 1 is both s1 and s2; each needs its own address"
