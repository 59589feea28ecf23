"""What guests meet before the internet: the portal's page, and the interface that tells their phones of it. Pure.

Source: RFC 8908, sections 4 and 5 (keys, ``application/captive+json``); RFC 9110, section 15 (status codes).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.driver import Channel, DriverInfo, Event
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source
from drivers.reading import Reading

PAGE_INFO = DriverInfo(
    name="portal-page",
    title="Page that a guest must be able to load",
    family="portal",
    mode="poll",
    channels=(
        Channel(name="page-up", unit="1", kind="state", doc="true while the page answers"),
        Channel(name="page-ms", unit="ms", low=0, doc="time to the head of its answer; every_metric"),
    ),
    every_s=60.0,
    stale_after_s=300.0,
    source="RFC 9110",
)
API_INFO = DriverInfo(
    name="portal-api",
    title="Captive portal API, which phones ask before they show the portal",
    family="portal",
    mode="poll",
    channels=(Channel(name="api-ok", unit="1", kind="state", doc="true while it answers as RFC 8908 wants"),),
    every_s=300.0,
    stale_after_s=900.0,
    source="RFC 8908",
)
MEDIA_TYPE = "application/captive+json"
_GOOD = range(200, 400)
_OK = 200
_MOST = 1 << 63
_ANSWER = re.compile(rb"(\d{3}) (\d{1,9}(?:\.\d{1,9})?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Facts):
    """Status of an answer, and how long it took; status 0 means that nobody answered."""

    status: int
    ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Captive(Facts):
    """What the API says; of pages only that they are named.

    Attributes:
        captive: Whether who asks is held before the portal.
        user_portal_url_given: Whether it names the portal's page.
        venue_info_url_given: Whether it names a page of the place.
        can_extend_session: Whether the page lets guests stay longer.
        seconds_remaining: Of the session.
        bytes_remaining: Of the session.
    """

    captive: bool
    user_portal_url_given: bool
    venue_info_url_given: bool
    can_extend_session: bool | None
    seconds_remaining: int | None
    bytes_remaining: int | None


def parse_page(raw: bytes) -> Page:
    """Read ``status ms``, or ``down`` when nobody answered."""
    if raw.strip() == b"down":
        return Page(status=0, ms=None)
    found = _ANSWER.fullmatch(raw.strip())
    if found is None:
        raise AnswerError("status and milliseconds are expected, or down")
    return Page(status=int(found[1]), ms=float(found[2]))


def parse_api(raw: bytes) -> Captive:
    """Read the JSON object of RFC 8908; keys that it does not know are passed over, as it asks."""
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        raise AnswerError("no JSON") from None
    if not isinstance(said, dict) or not isinstance(said.get("captive"), bool):
        raise AnswerError("a JSON object in which captive is true or false is expected")
    numbers = {key: _number(said.get(key)) for key in ("seconds-remaining", "bytes-remaining")}
    extend = said.get("can-extend-session")
    return Captive(
        captive=said["captive"],
        user_portal_url_given=bool(said.get("user-portal-url")),
        venue_info_url_given=bool(said.get("venue-info-url")),
        can_extend_session=extend if isinstance(extend, bool) else None,
        seconds_remaining=numbers["seconds-remaining"],
        bytes_remaining=numbers["bytes-remaining"],
    )


def _number(said: object) -> int | None:
    return int(said) if isinstance(said, int | float) and not isinstance(said, bool) and 0 <= said < _MOST else None


class PortalPage(Probe):
    """Sensor ``portal``: the page."""

    sources = (Source(name="portal-page-answer", title="status ms of a GET, or down", parse=parse_page),)

    def __init__(self, settings: HotspotSettings) -> None:
        super().__init__(PAGE_INFO, "portal")
        self._every_metric = settings.every_metric

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give whether it is up; a redirect is an answer, a refusal is none."""
        if not isinstance(facts, Page):
            raise TypeError(facts)
        yield from self.reading("page-up", facts.status in _GOOD, now)
        if self._every_metric:
            yield from self.reading("page-ms", facts.ms, now)

    def down(self, why: str, now: Moment) -> list[Event]:
        """Take note that nobody answered."""
        return [*self.silent("portal-page-answer", why), *self.reading("page-up", False, now)]


class PortalApi(Probe):
    """Sensor ``portal``: the API."""

    sources = (Source(name="portal-api-answer", title="JSON of RFC 8908", parse=parse_api),)

    def __init__(self, _settings: HotspotSettings) -> None:
        super().__init__(API_INFO, "portal")

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give that it is right, for what is not was not read."""
        if not isinstance(facts, Captive):
            raise TypeError(facts)
        yield from self.reading("api-ok", True, now)

    def said(self, status: int, media_type: str, body: bytes, now: Moment) -> list[Event]:
        """Read an answer of the API with its status and the media type it gave."""
        if status != _OK:
            return self.wrong(f"it answers with status {status}", now)
        if media_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
            return self.wrong(f"its answer is not marked as {MEDIA_TYPE}, so phones ignore it", now)
        events = self.answer("portal-api-answer", body, now)
        if not any(isinstance(event, Reading) for event in events):
            events += self.reading("api-ok", False, now)
        return events

    def wrong(self, why: str, now: Moment) -> list[Event]:
        """Take note that it does not answer as it must."""
        return [*self.silent("portal-api-answer", why), *self.reading("api-ok", False, now)]
