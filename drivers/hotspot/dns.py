"""Whether names are looked up: by the hotspot's own server, as guests ask it, and by the one behind it. Pure.

Source: `drivers.hotspot.dns_message`; RFC 6761, section 6.4: no name under ``invalid`` exists.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.driver import Channel, DriverInfo, Event, Problem
from drivers.hotspot import dns_message
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source

LOCAL, UP, INVALID = "dns-local", "dns-up", "dns-invalid"
"""Sources: the hotspot's own server, the one of the uplink, and the own one asked for a name that cannot exist."""

INFO = DriverInfo(
    name="dns",
    title="Look-up of names",
    family="dns",
    mode="poll",
    channels=(
        Channel(name="local-ms", unit="ms", low=0, doc="time of a look-up by the hotspot's own server"),
        Channel(name="up-ms", unit="ms", low=0, doc="time of a look-up by the server of the uplink"),
        Channel(name="fail", unit="/", low=0, high=1, doc="share of look-ups that the own server failed, 5 minutes"),
        Channel(name="up-fail", unit="/", low=0, high=1, doc="share that the server of the uplink failed, 5 minutes"),
        Channel(name="hijacked", unit="1", kind="state", doc="true while a name that cannot exist has an address"),
    ),
    every_s=60.0,
    stale_after_s=300.0,
    source="RFC 1035; RFC 6761",
)
_WINDOW_NS = 300_000_000_000
_NO_ERROR, _NO_SUCH_NAME = 0, 3
_WORDS = {1: "format error", 2: "server failure", 4: "not implemented", 5: "refused"}
_CHANNELS = {LOCAL: ("local-ms", "fail"), UP: ("up-ms", "up-fail")}


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp(Facts):
    """An answer to a question for a name.

    Attributes:
        rcode: 0 no error, 2 server failure, 3 no such name, 5 refused.
        truncated: It did not fit, which an answer with one address always does.
        failed: It helps nobody; that there is no such name is an answer.
    """

    rcode: int
    truncated: bool
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Impossible(Facts):
    """An answer to a question for a name that cannot exist; None where the server failed."""

    hijacked: bool | None


def parse_look_up(raw: bytes) -> LookUp:
    """Read an answer."""
    reply = dns_message.reply(raw)
    failed = reply.truncated or reply.rcode not in {_NO_ERROR, _NO_SUCH_NAME}
    return LookUp(rcode=reply.rcode, truncated=reply.truncated, failed=failed)


def parse_impossible(raw: bytes) -> Impossible:
    """Read an answer to a question for a name under ``invalid``."""
    reply = dns_message.reply(raw)
    known = reply.rcode in {_NO_ERROR, _NO_SUCH_NAME}
    return Impossible(hijacked=bool(reply.addresses) if known else None)


class Dns(Probe):
    """Sensor ``dns``."""

    sources = (
        Source(name=LOCAL, title="answer of the hotspot's own DNS server", parse=parse_look_up),
        Source(name=UP, title="answer of the DNS server of the uplink", parse=parse_look_up),
        Source(name=INVALID, title="answer for a name under invalid", parse=parse_impossible),
    )

    def __init__(self, _settings: HotspotSettings) -> None:
        super().__init__(INFO, "dns")
        self._failures: dict[str, deque[tuple[int, bool]]] = {LOCAL: deque(), UP: deque()}
        self._failing: dict[str, str] = {}

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give whether a name that cannot exist has an address; look-ups count in `looked_up`."""
        match facts:
            case Impossible():
                yield from self.reading("hijacked", facts.hijacked, now)
            case LookUp():
                pass
            case _:
                raise TypeError(facts)

    def looked_up(self, source: str, raw: bytes, ms: float, now: Moment) -> list[Event]:
        """Read an answer that took so many ms."""
        events = self.answer(source, raw, now)
        try:
            said = parse_look_up(raw)
        except AnswerError:
            return [*events, *self._count(source, failed=True, now=now)]
        if not said.failed:
            events += self.reading(_CHANNELS[source][0], ms, now)
        return [*events, *self._tell(source, said), *self._count(source, failed=said.failed, now=now)]

    def unanswered(self, source: str, why: str, now: Moment) -> list[Event]:
        """Take note that a server gave no answer, which is a failed look-up too."""
        return [*self.silent(source, why), *self._count(source, failed=True, now=now)]

    def works(self, source: str) -> bool:
        """Return whether the last look-up by a server gave an answer."""
        return bool(self._failures[source]) and not self._failures[source][-1][1]

    def _count(self, source: str, *, failed: bool, now: Moment) -> Iterator[Event]:
        """Give the share of look-ups that failed in the last minutes."""
        window = self._failures[source]
        window.append((now.boot_ns, failed))
        while window[0][0] <= now.boot_ns - _WINDOW_NS:
            window.popleft()
        share = sum(failed for _, failed in window) / len(window)
        yield from self.reading(_CHANNELS[source][1], round(share, 4), now)

    def _tell(self, source: str, said: LookUp) -> Iterator[Event]:
        """Say once that a server answers but looks nothing up."""
        words = "truncated" if said.truncated else _WORDS.get(said.rcode, f"error {said.rcode}")
        why = f"{source}: it answers {words}" if said.failed else ""
        before = self._failing.get(source, "")
        self._failing[source] = why
        if why != before:
            yield Problem(sensor=self.sensor, code=source, detail=why or before, ok=not why)
