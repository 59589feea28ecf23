"""A driver of a third party at work: what it does wrong costs its own sensor. Pure.

It shares the process, so this is no sandbox: code that never returns or eats memory ends the agent with it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from drivers.driver import (
    Ask,
    Driver,
    Event,
    Identified,
    OptionValue,
    Problem,
    Rejected,
    Send,
    TimeSeen,
    Transaction,
    Verdict,
)
from drivers.reading import Quality, Reading
from drivers.vendor import Vendor, told

FAILED = "driver_failed"
"""Trouble of a sensor whose driver raised an exception or said what no driver may say."""

AGAIN_NS = 60_000_000_000
"""A driver that failed is made anew after this time."""

_PAUSE_NS = 10_000_000  # between two ticks of a driver whose deadline never moves on
_LONGEST_WRITE = 2048
_LONGEST_WAIT_NS = 60_000_000_000
_LONGEST_TEXT = 256  # bytes of a value
_WHOLE = 1 << 53  # a number beyond is not exact in JSON


class Guarded:
    """A driver whose exceptions and wrong events become one `Problem`; it is made anew a minute later.

    Args:
        vendor: The class.
        sensor: Name of the sensor.
        options: Its section.
        every_s: Seconds between two readings.

    Raises:
        OptionError: An option cannot be used.
        AddedError: Its own code failed.
    """

    def __init__(self, vendor: Vendor, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> None:
        self.sensor = sensor
        self._vendor = vendor
        self._make = partial(vendor.make, sensor, options, every_s)
        self._driver: Driver = self._make()
        self.info = self._driver.info
        self._units = {channel.name: channel.unit for channel in self.info.channels}
        self._again_ns: int | None = None
        self._failed = False
        self._now_ns = 0
        self._late: list[Event] = []

    @property
    def address(self) -> int | None:
        """Its address on a bus, where it says one."""
        said = getattr(self._driver, "address", None)
        return said if isinstance(said, int) else None

    @property
    def held(self) -> int:
        """Bytes kept for later, where it says so."""
        said = getattr(self._driver, "held", None)
        return said if isinstance(said, int) else 0

    def start(self, now_ns: int) -> list[Event]:
        """Begin, or begin again after the port was lost."""
        return self._run(lambda: self._driver.start(now_ns), now_ns)

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        """Take bytes as they come; return what they complete."""
        return self._run(lambda: self._driver.receive(data, now_ns), now_ns)

    def tick(self, now_ns: int) -> list[Event]:
        """Do what is due; make a driver anew that failed."""
        if self._again_ns is None:
            return self._run(lambda: self._driver.tick(now_ns), now_ns)
        if now_ns < self._again_ns:
            return self._flush()
        self._again_ns = None
        return self._run(lambda: self._anew(now_ns), now_ns)

    def deadline(self) -> int | None:
        """Moment of the next tick that matters."""
        if self._late:
            return self._now_ns
        if self._again_ns is not None:
            return self._again_ns
        try:
            due_ns = self._driver.deadline()
            if due_ns is None:
                return None
            return max(_whole(due_ns, "its deadline"), self._now_ns + _PAUSE_NS if due_ns <= self._now_ns else 0)
        except Exception as error:  # noqa: BLE001 - whatever it raises costs its own sensor
            self._late += self._fail(error)
            return self._now_ns

    def lost(self, now_ns: int) -> list[Event]:
        """The port is gone."""
        return self._run(lambda: self._driver.lost(now_ns), now_ns)

    def unanswered(self, request: bytes, now_ns: int) -> list[Event]:
        """A question got no answer."""
        call: Callable[[bytes, int], list[Event]] | None = getattr(self._driver, "unanswered", None)
        return [] if call is None else self._run(lambda: call(request, now_ns), now_ns)

    def _anew(self, now_ns: int) -> list[Event]:
        self._driver = self._make()
        return self._driver.start(now_ns)

    def _flush(self) -> list[Event]:
        late, self._late = self._late, []
        return late

    def _run(self, call: Callable[[], list[Event]], now_ns: int) -> list[Event]:
        self._now_ns = now_ns
        late = self._flush()
        if self._again_ns is not None:
            return late
        try:
            return [*late, *self._passed(call())]
        except Exception as error:  # noqa: BLE001 - whatever it raises costs its own sensor
            return [*late, *self._fail(error)]

    def _fail(self, error: Exception) -> list[Event]:
        self._again_ns = self._now_ns + AGAIN_NS
        if self._failed:
            return []
        self._failed = True
        detail = f"its code failed and is tried again each minute: {told(error)}"
        return [Problem(sensor=self.sensor, code=FAILED, detail=detail)]

    def _passed(self, said: object) -> list[Event]:
        """Events as they may go on.

        Raises:
            TypeError: There is something else among them.
            ValueError: One says what it must not say.
        """
        if not isinstance(said, list | tuple):
            raise TypeError(f"it returned {type(said).__name__}, not a list of events")
        passed = [self._checked(event) for event in said]
        if self._failed and any(isinstance(event, Reading) for event in passed):
            self._failed = False
            passed.insert(0, Problem(sensor=self.sensor, code=FAILED, ok=True))
        return passed

    def _checked(self, event: object) -> Event:
        if isinstance(event, Send):
            self._may_write(event.data)
            return event
        if isinstance(event, Ask):
            return Ask(transaction=self._question(event.transaction))
        if not isinstance(event, Reading | Rejected | Problem | Identified | TimeSeen):
            raise TypeError(f"it returned {type(event).__name__}, which is no event")
        if event.sensor != self.sensor:
            raise ValueError(f"it speaks for sensor {event.sensor!r:.40}")
        if isinstance(event, Reading):
            self._check_reading(event)
        return event

    def _question(self, asked: Transaction) -> Transaction:
        self._may_write(asked.request)
        if asked.sensor != self.sensor:
            raise ValueError(f"it asks for sensor {asked.sensor!r:.40}")
        if not 0 < _whole(asked.timeout_ns, "its timeout") <= _LONGEST_WAIT_NS:
            raise ValueError(f"it waits {asked.timeout_ns} ns for an answer; a minute is the most")
        return replace(asked, match=partial(self._match, asked))

    def _match(self, asked: Transaction, data: bytes, now_ns: int) -> Verdict | None:
        """Look for the answer; a failure ends the question."""
        self._now_ns = now_ns
        try:
            found: object = asked.match(data, now_ns)
            if found is None:
                return None
            verdict = _verdict(found, len(data))
            return replace(verdict, events=tuple(self._passed(verdict.events)))
        except Exception as error:  # noqa: BLE001 - whatever it raises costs its own sensor
            return Verdict(used=len(data), events=tuple(self._fail(error)))

    def _may_write(self, data: object) -> None:
        if not isinstance(data, bytes) or len(data) > _LONGEST_WRITE:
            raise TypeError(f"it writes what is not at most {_LONGEST_WRITE} bytes")
        if not self._vendor.may_send(data):
            raise ValueError(f"it writes {data[:32].hex(' ')}, which is not among its commands")

    def _check_reading(self, event: Reading) -> None:
        unit = self._units.get(event.channel)
        if unit is None or unit != event.unit:
            raise ValueError(f"channel {event.channel!r:.40} in {event.unit!r:.20} is not declared")
        if not 0 <= _whole(event.boot_ns, "a moment") <= self._now_ns:
            raise ValueError(f"{event.channel} is read at a moment that has not come")
        if not isinstance(event.quality, frozenset) or not all(isinstance(flag, Quality) for flag in event.quality):
            raise TypeError(f"the quality of {event.channel} is no set of flags")
        value: object = event.value
        if isinstance(value, str):
            fits = len(value.encode()) <= _LONGEST_TEXT
        elif isinstance(value, float):
            fits = math.isfinite(value)
        else:
            fits = isinstance(value, int) and abs(value) < _WHOLE
        if not fits:
            raise ValueError(f"{event.channel} is {value!r:.40}, which is no value")


def _whole(value: object, what: str) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{what} is {value!r:.40}, not a whole number of ns or bytes")
    return value


def _verdict(found: object, most: int) -> Verdict:
    if not isinstance(found, Verdict) or not 0 <= _whole(found.used, "what it used") <= most:
        raise TypeError("its match returned no verdict on these bytes")
    return found
