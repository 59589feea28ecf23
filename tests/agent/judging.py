"""Readings and judges for the tests of quality."""

from collections.abc import Sequence
from typing import Literal

from hypothesis import strategies as st

from agent.quality import Judge, SensorRules
from agent.wear import Hours
from drivers.driver import Channel
from drivers.reading import Quality, Reading

SECOND = 1_000_000_000
Value = int | float | bool | str


def reading(
    value: Value, at_s: float, *flags: Quality, sensor: str = "s", channel: str = "c", unit: str = "m"
) -> Reading:
    return Reading(
        sensor=sensor, channel=channel, value=value, unit=unit, boot_ns=round(at_s * SECOND), quality=frozenset(flags)
    )


def judge_of(
    channel: Channel,
    *,
    warmup_s: float = 0.0,
    stale_after_s: float = 60.0,
    confirm: int = 1,
    integrity: Literal["crc16", "sum8", "sum16", "xor", "none"] = "none",
    lifetime_h: float | None = None,
    book: Hours | None = None,
) -> Judge:
    return Judge(
        {
            "s": SensorRules(
                channels={channel.name: channel},
                warmup_s=warmup_s,
                stale_after_s=stale_after_s,
                confirm=confirm,
                integrity=integrity,
                lifetime_h=lifetime_h,
            )
        },
        book,
    )


def flags(judge: Judge, *values: tuple[Value, float]) -> list[frozenset[Quality]]:
    return [judge.judge(reading(value, at_s)).quality for value, at_s in values]


def each_second(judge: Judge, values: Sequence[Value], start_s: float = 0.0) -> list[str]:
    """The flags of one value a second, as text."""
    return [
        " ".join(sorted(judge.judge(reading(value, start_s + index)).quality)) for index, value in enumerate(values)
    ]


LEVEL = Channel(name="c", unit="m", low=0.0, high=5.0, max_step_per_s=0.1)


class Book:
    """Keeps hours in memory."""

    def __init__(self, hours: float = 0.0) -> None:
        self.kept = hours
        self.added: list[float] = []

    def hours(self, sensor: str) -> float:
        assert sensor == "s"
        return self.kept

    def add_hours(self, sensor: str, hours: float) -> None:
        assert sensor == "s"
        self.added.append(hours)
        self.kept += hours


FLAGS = st.frozensets(st.sampled_from(Quality), max_size=3)
VALUES = st.one_of(
    st.integers(-10, 10), st.floats(-1e6, 1e6), st.booleans(), st.sampled_from(["a", "b"]), st.sampled_from([0, 1.0])
)
CHANNELS = st.builds(
    Channel,
    name=st.just("c"),
    unit=st.sampled_from(["m", "deg", "rad"]),
    low=st.none() | st.floats(-10, 0),
    high=st.none() | st.floats(1, 10),
    max_step_per_s=st.none() | st.floats(0.001, 100),
    zero=st.sampled_from(["ok", "suspect"]),
    stuck_after_s=st.none() | st.floats(0, 100),
    kind=st.sampled_from(["gauge", "counter", "state", "angle", "text"]),
)
