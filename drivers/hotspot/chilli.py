"""CoovaChilli: who waits at its portal and who came through, as counts. Pure.

Source: coova-chilli src/chilli.c (chilli_print, chilli_getinfo, state2name), src/session.c (session_json_params,
session_json_acct); chilli_query(1). Versions differ in their columns; a guest without an address has fewer.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from drivers.driver import Channel, DriverInfo, Event
from drivers.hotspot.login import Login
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source
from drivers.reading import Reading

INFO = DriverInfo(
    name="chilli",
    title="Captive portal CoovaChilli",
    family="chilli",
    mode="poll",
    channels=(
        Channel(name="up", unit="1", kind="state", doc="true while the portal's program answers"),
        Channel(name="clients-auth", unit="count", low=0, doc="guests that came through"),
        Channel(name="clients-pre", unit="count", low=0, doc="guests before the portal"),
        Channel(name="login-stuck", unit="1", kind="state", doc="true when many wait and nobody comes through"),
    ),
    every_s=60.0,
    stale_after_s=300.0,
    source="coova-chilli src/chilli.c",
)
_STATES = ("none", "drop", "pass", "dnat", "splash", "layer2", "unknown")
_MAC = r"[0-9A-Fa-f]{2}(?:[-:][0-9A-Fa-f]{2}){5}"
_ADDRESS = r"\d{1,3}(?:\.\d{1,3}){3}"
_WHO = re.compile(rf"(?:{_MAC} (?:{_ADDRESS} )?({'|'.join(_STATES)})|{_ADDRESS})(?: (.*))?")
_SESSION = re.compile(r"\S+ ([01]) .*?(?<!\S)(\d{1,20})/\d+ \d+/\d+ \d+/\d+.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guests(Facts):
    """Answer to ``list``.

    Attributes:
        clients: All guests it knows.
        authenticated: Those that came through.
        state: How many are in which of its states, such as pass, none or dnat.
        newest_session_s: Age of the youngest login; None when nobody came through.
    """

    clients: int
    authenticated: int
    state: Mapping[str, int]
    newest_session_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Guest:
    state: str | None
    session_s: int | None  # None before the portal


def parse_list(raw: bytes) -> Guests:
    """Read ``chilli_query list``; no line means no guest."""
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n")
    if text and not text.endswith("\n"):
        raise AnswerError("it ends in the middle of a line")
    return _summed([_guest(line.strip()) for line in text.split("\n") if line.strip()])


def _guest(line: str) -> _Guest:
    who = _WHO.fullmatch(line)
    session = _SESSION.fullmatch(who[2]) if who and who[2] else None
    if who is None or (session is None and (who[2] or who[1] is None)):
        raise AnswerError("lines of addresses, state, session, login, name and counters are expected")
    return _Guest(state=who[1], session_s=int(session[2]) if session and session[1] == "1" else None)


def parse_json(raw: bytes) -> Guests:
    """Read ``chilli_query -json list``."""
    try:
        sessions = json.loads(raw)["sessions"]
        guests = [
            _Guest(
                state=each.get("dhcpState"),
                session_s=int(each["accounting"]["sessionTime"]) if each.get("clientState") == 1 else None,
            )
            for each in sessions
        ]
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
        raise AnswerError("a JSON object with sessions is expected") from None
    if any(each.state is not None and each.state not in _STATES for each in guests):
        raise AnswerError("a state of a session is not one of CoovaChilli's")
    return _summed(guests)


def _summed(guests: list[_Guest]) -> Guests:
    sessions = [each.session_s for each in guests if each.session_s is not None]
    return Guests(
        clients=len(guests),
        authenticated=len(sessions),
        state=dict(Counter(each.state for each in guests if each.state is not None)),
        newest_session_s=min(sessions, default=None),
    )


class Chilli(Probe):
    """Sensor ``portal``. It counts no logins, so a young session stands for one."""

    sources = (
        Source(name="chilli-json", title="chilli_query -json list", parse=parse_json),
        Source(name="chilli-list", title="chilli_query list", parse=parse_list),
    )

    def __init__(self, _settings: HotspotSettings) -> None:
        super().__init__(INFO, "portal")
        self._login = Login()
        self._last_ns = 0

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give the counts, and whether those who wait come through."""
        if not isinstance(facts, Guests):
            raise TypeError(facts)
        waiting = facts.clients - facts.authenticated
        since_s = (now.boot_ns - self._last_ns) / 1e9
        self._last_ns = now.boot_ns
        moved = facts.newest_session_s is not None and facts.newest_session_s <= since_s
        yield from self.reading("up", True, now)
        yield from self.reading("clients-auth", facts.authenticated, now)
        yield from self.reading("clients-pre", waiting, now)
        yield from self.reading("login-stuck", self._login.stuck(waiting, moved, now), now)

    def down(self, why: str, now: Moment) -> list[Event]:
        """Take note that it runs no longer: its program says so, or nothing in time."""
        self._login = Login()
        down: list[Reading] = list(self.reading("up", False, now))
        return [*self.silent("chilli-list", why), *down]
