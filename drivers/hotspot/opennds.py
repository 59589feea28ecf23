"""openNDS: who waits at its portal and who came through, as counts. Pure.

Asked for ``status``, it gives the counts of one text; asked for ``json``, it starts a script for each guest, so that is
only for where the text is not understood. Each ``status`` makes openNDS look up its routes by a script, and 9.10 ends
itself when that fails, which it does now and then (mended upstream by "prevent unnecessary shutdown"). So it is asked
as seldom as its alarms allow; ``portal_url`` on its ``/mhdstatus`` watches it each minute without a script.

Source: openNDS src/util.c (ndsctl_status, ndsctl_json_all, format_duration), src/fw_iptables.c
(fw_connection_state_as_string), versions 5.2 to 11.0; openNDS issues 325 and 332 (commas of the JSON of 9.6), pull 139.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.driver import Channel, DriverInfo, Event
from drivers.hotspot.login import Login
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source
from drivers.reading import Reading

INFO = DriverInfo(
    name="opennds",
    title="Captive portal openNDS",
    family="opennds",
    mode="poll",
    channels=(
        Channel(name="up", unit="1", kind="state", doc="true while the portal's program answers"),
        Channel(name="clients-auth", unit="count", low=0, doc="guests that came through"),
        Channel(name="clients-pre", unit="count", low=0, doc="guests before the portal"),
        Channel(name="auths", unit="count", low=0, kind="counter", doc="logins since the portal's start"),
        Channel(name="login-stuck", unit="1", kind="state", doc="true when many wait and nobody comes through"),
    ),
    every_s=300.0,
    stale_after_s=1000.0,
    source="openNDS src/util.c",
)
_SETTLED_S = 60
"""Before that it calls every gateway offline; measured with 9.10: 13 s after its start."""

_VERSION = re.compile(r"^Version:[ \t]*([0-9A-Za-z.~+-]{1,32})[ \t]*$", re.MULTILINE)
_UPTIME = re.compile(r"^Uptime:[ \t]*(?:(\d{1,9})d )?(?:(\d{1,9})h )?(?:(\d{1,9})m )?(\d{1,9})s[ \t]*$", re.MULTILINE)
_ONLINE = re.compile(r"^Upstream gateway\(s\) \[", re.MULTILINE)
_OFFLINE = re.compile(r"^All Upstream gateway\(s\) are offline", re.MULTILINE)
_AUTHS = re.compile(r"^Client authentications since start:[ \t]*(\d{1,20})[ \t]*$", re.MULTILINE)
_CLIENTS = re.compile(r"^Current clients:[ \t]*(\d{1,20})[ \t]*$", re.MULTILINE)
_STATE = re.compile(r"^[ \t]+State:[ \t]*([A-Za-z]+)[ \t]*$", re.MULTILINE)
_END = re.compile(r"^={8,}\s*\Z", re.MULTILINE)

_STRING = r'"(?:[^"\\\n]|\\.)*"'
_LENGTH = re.compile(r'"client_(?:list_)?length"\s*:\s*"?(\d{1,20})\b')
_JSON_STATE = re.compile(rf"({_STRING})\s*:\s*({_STRING})")
_TEXTS = re.compile(_STRING)
_SECONDS = (86_400, 3600, 60, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What an answer says although its JSON is broken."""

    clients: int
    authenticated: int
    preauthenticated: int
    trusted: int
    blocked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients(Facts):
    """Answer to ``json``: how many guests are in which state.

    Attributes:
        json_valid: False for versions that forget commas.
        tolerant: What was read where it is not valid; the same counts.
        clients: All of them.
        authenticated: Those that came through.
        preauthenticated: Those before the portal.
        trusted: Those that need no login.
        blocked: Those that may not.
    """

    json_valid: bool
    tolerant: Counts | None
    clients: int
    authenticated: int
    preauthenticated: int
    trusted: int
    blocked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Facts):
    """Answer to ``status``.

    Attributes:
        version: Of openNDS.
        uptime_s: Since its start.
        upstream_online: Whether it sees a gateway; None in its first minute and where it does not say.
        auths_since_start: Logins.
        clients: All guests it knows.
        authenticated: Those that came through.
        preauthenticated: Those before the portal.
        trusted: Those that need no login.
        blocked: Those that may not.
    """

    version: str
    uptime_s: int
    upstream_online: bool | None
    auths_since_start: int
    clients: int
    authenticated: int
    preauthenticated: int
    trusted: int
    blocked: int


def parse_status(raw: bytes) -> Status:
    """Read the text of ``status``; without its last line it is half of one."""
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n")
    version, uptime = _VERSION.search(text), _UPTIME.search(text)
    auths, clients = _AUTHS.search(text), _CLIENTS.search(text)
    if "openNDS Status" not in text or not (version and uptime and auths and clients):
        raise AnswerError("the text of openNDS's status is expected")
    if _END.search(text) is None:
        raise AnswerError("half of openNDS's status")
    uptime_s = sum(int(part or 0) * unit for part, unit in zip(uptime.groups(), _SECONDS, strict=True))
    online = True if _ONLINE.search(text) else False if _OFFLINE.search(text) else None
    return Status(
        version=version[1],
        uptime_s=uptime_s,
        upstream_online=online if uptime_s >= _SETTLED_S else None,
        auths_since_start=int(auths[1]),
        **_counts(int(clients[1]), _STATE.findall(text)),
    )


def parse_json(raw: bytes) -> Clients:
    """Read the answer to ``json``, and where commas are missing or too many, what it still says."""
    text = raw.decode("utf-8", "replace").strip()
    length = _LENGTH.search(text)
    if length is None or not text.startswith("{"):
        raise AnswerError("a JSON object with client_list_length is expected")
    if not _closed(text):
        raise AnswerError("half of openNDS's JSON")
    states = [value[1:-1] for key, value in _JSON_STATE.findall(text) if key == '"state"']
    counts = _counts(int(length[1]), states)
    valid = _is_json(text)
    return Clients(json_valid=valid, tolerant=None if valid else Counts(**counts), **counts)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _closed(text: str) -> bool:
    """Return whether every brace outside of a text is closed, the first one last."""
    marks = _TEXTS.sub("", text)
    depth = 0
    for at, mark in enumerate(marks):
        depth += (mark == "{") - (mark == "}")
        if depth == 0:
            return at == len(marks) - 1
    return False


def _counts(clients: int, states: list[str]) -> dict[str, int]:
    found = Counter(states)
    return {
        "clients": clients,
        "authenticated": found["Authenticated"],
        "preauthenticated": found["Preauthenticated"],
        "trusted": found["Trusted"],
        "blocked": found["Blocked"] + found["AuthBlocked"],
    }


class Opennds(Probe):
    """Sensor ``portal``."""

    sources = (
        Source(name="opennds-status", title="answer to status on its control socket", parse=parse_status),
        Source(name="opennds-json", title="answer to json on its control socket", parse=parse_json),
    )

    def __init__(self, _settings: HotspotSettings) -> None:
        super().__init__(INFO, "portal")
        self._login = Login()
        self._auths = 0

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give the counts, and whether those who wait come through."""
        if not isinstance(facts, Clients | Status):
            raise TypeError(facts)
        yield from self.reading("up", True, now)
        yield from self.reading("clients-auth", facts.authenticated, now)
        yield from self.reading("clients-pre", facts.preauthenticated, now)
        if isinstance(facts, Status):
            yield from self.heard("opennds-json")  # it is asked no more
            yield from self.reading("auths", facts.auths_since_start, now)
            moved, self._auths = facts.auths_since_start != self._auths, facts.auths_since_start
            yield from self.reading("login-stuck", self._login.stuck(facts.preauthenticated, moved, now), now)

    def down(self, why: str, now: Moment) -> list[Event]:
        """Take note that its socket gave no answer."""
        self._login = Login()
        down: list[Reading] = list(self.reading("up", False, now))
        return [*self.silent("opennds-status", why), *down]
