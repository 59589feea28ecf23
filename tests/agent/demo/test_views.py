import io

import pytest
from rich.console import Console

from agent.demo.answers import Heard, Value
from agent.demo.board import Board, Node, Shown, State, number
from agent.demo.live import picture
from agent.demo.plain import Plain, status
from agent.demo.story import steps


def board() -> Board:
    made = Board(for_s=60.0, steps=steps(), broker="mosquitto 2.0.11", begun_s=0.0, node=Node.UP)
    made.tally.begin()
    made.tally.name("a" * 32)
    return made


def heard(made: Board, path: str, value: float | str, unit: str = "1", *flags: str, at_s: float = 0.0) -> None:
    made.hear(Heard(path=path, value=value, unit=unit, flags=flags), at_s)
    made.tally.tell()


def drawn(made: Board, now_s: float = 1.0, *, width: int = 110, height: int | None = None) -> str:
    console = Console(file=io.StringIO(), width=width, height=60, color_system=None)
    with console.capture() as capture:
        console.print(picture(made, now_s, width, height))
    return capture.get()


def test_the_picture_shows_last_values_and_doubts() -> None:
    made = board()
    heard(made, "air/pm2_5", 12.34, "ug/m3", "warming_up")
    heard(made, "gps/latitude", -6.914744, "lat")
    text = drawn(made)
    assert "pm2_5 12.3 µg/m³" in text
    assert "warming up" in text
    assert "6.91474 ° S" in text
    assert "waiting" in text


def test_the_picture_shows_a_cut_link_and_what_is_held() -> None:
    made = board()
    for _ in range(1234):
        heard(made, "air/pm2_5", 1.0)
    assert "link up" in drawn(made)
    made.cut = True
    text = drawn(made)
    assert "link cut" in text
    assert "held 1,234" in text


def test_the_picture_tells_pulled_from_silent() -> None:
    made = board()
    heard(made, "air/pm2_5", 1.0)
    heard(made, "co2/co2", 500)
    made.unplugged.add("air")
    text = drawn(made, 9.0)
    assert "unplugged" in text
    assert "silent 9 s" in text


def test_the_picture_shows_the_alarm_at_its_sensor_and_a_killed_node() -> None:
    made = board()
    heard(made, "sungai/level", 3.1, "m")
    heard(made, "alarm/banjir", "siaga2")
    assert "banjir: siaga2" in drawn(made)
    made.node = Node.KILLED
    assert "node killed" in drawn(made)


def test_the_picture_shows_the_drain_while_it_goes_on_and_afterwards() -> None:
    made = board()
    for _ in range(10):
        heard(made, "air/pm2_5", 1.0)
    made.tally.cut(0)
    made.tally.mend(100, 1.0)
    made.tally.settle("air/pm2_5", "a" * 32, 50, alarm=False, now_s=1.5)
    assert "draining 1 of 10, 1/s" in drawn(made, 2.0)
    for _ in range(9):
        made.tally.settle("air/pm2_5", "a" * 32, 50, alarm=False, now_s=3.0)
    assert "drained 10 at 5/s" in drawn(made, 9.0)


@pytest.mark.parametrize(("width", "height"), [(110, 35), (80, 24), (60, 15)])
def test_the_picture_fits_the_terminal(width: int, height: int) -> None:
    made = board()
    for step in made.steps[:9]:
        step.state = State.DONE
        step.detail = "x" * 200
    made.steps[9].state = State.RUNNING
    lines = drawn(made, width=width, height=height).splitlines()
    assert len(lines) <= max(height, 19)
    assert max(len(line) for line in lines) <= width
    assert any(made.steps[9].title[:20] in line for line in lines)


def test_every_step_is_on_a_long_picture_with_its_mark() -> None:
    made = board()
    made.steps[0].state = State.DONE
    made.steps[1].state = State.FAILED
    text = drawn(made)
    assert f"✓ {made.steps[0].title}" in text
    assert f"✗ {made.steps[1].title}" in text
    assert all(step.title in text for step in made.steps)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (True, "1", "yes"),
        (False, "1", "no"),
        ("open", "1", "open"),
        (23.456, "Cel", "23.5 °C"),
        (71.6, "%RH", "72 % RH"),
        (3 * 2**20, "B", "3 MiB"),
        (9, "1", "9"),
        (0.456, "1", "0.46"),
    ],
)
def test_numbers_are_written_as_people_write_them(value: Value, unit: str, text: str) -> None:
    assert number(Shown(value=value, unit=unit, flags=(), at_s=0.0)) == text


def test_plain_lines_tell_each_step_once_and_where_things_stand() -> None:
    made, out = board(), io.StringIO()
    view = Plain(out)
    made.steps[0].state = State.DONE
    made.steps[0].detail = "all of it"
    for now_s in (0.0, 0.2, 4.9, 5.1, 5.3):
        view.show(made, now_s)
    made.steps[1].state = State.FAILED
    view.close(made, 6.0)
    assert out.getvalue().splitlines() == [
        "Gardu demo: 60 s, mosquitto 2.0.11, mutual TLS",
        f"  0.0 s  ok      {made.steps[0].title}: all of it",
        "  0.0 s  link up  taken 0  held 0  acked 0",
        "  5.1 s  link up  taken 0  held 0  acked 0",
        f"  6.0 s  FAILED  {made.steps[1].title}",
    ]


def test_plain_lines_are_ascii() -> None:
    made, out = board(), io.StringIO()
    for step in made.steps:
        step.state = State.DONE
    Plain(out).show(made, 1.0)
    assert out.getvalue().isascii()


def test_the_status_says_what_is_wrong() -> None:
    made = board()
    made.cut = True
    made.node = Node.KILLED
    heard(made, "alarm/banjir", "siaga3")
    assert status(made) == "link cut  node killed  taken 1  held 1  acked 0  alarm siaga3"
