"""Simulated sensors of the peers say each number once, in frames that a driver of this project reads, too."""

from benchmarks import lines
from drivers.reading import Reading
from drivers.serial import sds011


def test_an_sds011_frame_carries_its_number_in_both_values() -> None:
    driver = sds011.make("air", "sds011", {}, None)
    driver.start(0)
    events = driver.receive(lines.sds011(6_123), 1)
    assert [event.value for event in events if isinstance(event, Reading)] == [612.3, 612.3]


def test_a_line_of_text_holds_both_values_at_fixed_places() -> None:
    line = lines.text(6_123)
    assert (float(line[:7]), float(line[8:])) == (612.3, 612.3)
    assert line.endswith(b"\n")
