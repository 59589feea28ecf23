"""What time leaves in files: the floor on the card, and in the run folder what a person and the agent tell each other.

Every file names its boot, so what stands in it means nothing after a restart of the machine; the floor itself stays.
A file that cannot be read counts as absent: nothing here ever stops a start.
"""

import contextlib
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from agent import whole_file
from agent.belief import BUILT_UTC_MS, HOUR_MS, LAST_UTC_MS, Bounds, Sighting, Source, Told

_FLOOR = "time-floor"
_HAND = "clock-hand"
_RESET = "clock-reset"
_SEEN = "clock-seen"


class ClockFiles:
    """The files of one node.

    Args:
        card: Folder that survives a power cut.
        run: Folder that lives as long as the machine is up.
        boot: Kernel boot id.
    """

    def __init__(self, card: Path, run: Path, boot: bytes) -> None:
        self._floor = card / _FLOOR
        self._run = run
        self._boot = boot.hex()
        self._kept_ms = BUILT_UTC_MS

    # -- the floor --------------------------------------------------------------------------------------------------

    def bounds(self) -> Bounds:
        """Return what is known at a start. A floor that is damaged, or no time, is none."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(self._floor.read_bytes())
            utc_ms, boot_ms = found["utc_ms"], found["boot_ms"]
            text = _floor_text(utc_ms, found["boot"], boot_ms)
            if text == self._floor.read_text("ascii") and BUILT_UTC_MS <= utc_ms <= LAST_UTC_MS:
                self._kept_ms = utc_ms
                told = Told(boot_ms=boot_ms, utc_ms=utc_ms) if found["boot"] == self._boot else None
                return Bounds(floor_ms=utc_ms, told=told)
        return Bounds()

    def is_due(self, bounds: Bounds) -> bool:
        """Tell whether the floor moved by more than an hour since it was last kept: seldom, to spare the card."""
        return bounds.told is not None and bounds.floor_ms - self._kept_ms > HOUR_MS

    def keep(self, bounds: Bounds) -> None:
        """Put the floor on the card: whole or not at all. Blocks as long as the card does.

        Raises:
            OSError: the card refuses.
        """
        if bounds.told is None:
            return
        text = _floor_text(bounds.told.utc_ms, self._boot, bounds.told.boot_ms)
        whole_file.replace(self._floor, text)
        self._kept_ms = bounds.told.utc_ms

    def forget(self) -> None:
        """Take the floor away, and what the agent showed of it. Raises OSError."""
        self._floor.unlink(missing_ok=True)
        (self._run / _SEEN).unlink(missing_ok=True)
        self._kept_ms = BUILT_UTC_MS

    # -- by hand ----------------------------------------------------------------------------------------------------

    def set_hand(self, sighting: Sighting) -> None:
        """Leave a time for the agent: it takes it within seconds, or at its next start in this boot. Raises OSError."""
        self._leave(_HAND, [sighting], None)

    def hand(self) -> Sighting | None:
        """Return the time that a person set in this boot."""
        seen, _ = self._find(_HAND)
        return next(iter(seen), None)

    def ask_reset(self) -> None:
        """Ask a running agent to forget what the center told. Raises OSError."""
        (self._run / _RESET).touch()

    def take_reset(self) -> bool:
        """Tell whether that was asked, once."""
        try:
            (self._run / _RESET).unlink()
        except OSError:
            return False
        return True

    # -- what the running agent knows and nobody else -----------------------------------------------------------------

    def show(self, sightings: Iterable[Sighting], bounds: Bounds) -> None:
        """Leave what sources and the center said, for `gardu clock`."""
        with contextlib.suppress(OSError):
            self._leave(_SEEN, sightings, bounds)

    def shown(self) -> tuple[tuple[Sighting, ...], Bounds | None]:
        """Return what the agent of this boot left."""
        return self._find(_SEEN)

    def _leave(self, name: str, sightings: Iterable[Sighting], bounds: Bounds | None) -> None:
        seen = {one.source.value: [one.boot_ms, one.utc_ms, one.uncertainty_ms] for one in sightings}
        body: dict[str, object] = {"boot": self._boot, "seen": seen}
        if bounds is not None:
            body["floor_ms"] = bounds.floor_ms
            body["told"] = None if bounds.told is None else [bounds.told.boot_ms, bounds.told.utc_ms]
        whole_file.replace(self._run / name, json.dumps(body), durably=False)

    def _find(self, name: str) -> tuple[tuple[Sighting, ...], Bounds | None]:
        try:
            body = json.loads((self._run / name).read_bytes())
            if body["boot"] != self._boot:
                return (), None
            seen = tuple(
                Sighting(source=Source(source), boot_ms=boot_ms, utc_ms=utc_ms, uncertainty_ms=uncertainty_ms)
                for source, (boot_ms, utc_ms, uncertainty_ms) in _numbers(body["seen"]).items()
            )
            return seen, _bounds(body) if "floor_ms" in body else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return (), None


def _numbers(seen: Mapping[str, list[int]]) -> Mapping[str, list[int]]:
    if any(type(number) is not int for numbers in seen.values() for number in numbers):
        raise ValueError("not whole numbers")
    return seen


def _bounds(body: Mapping[str, object]) -> Bounds:
    floor_ms, told = body["floor_ms"], body["told"]
    if type(floor_ms) is not int:
        raise ValueError("not a whole number")
    if not isinstance(told, list):
        return Bounds(floor_ms=floor_ms)
    boot_ms, utc_ms = _numbers({"told": told})["told"]
    return Bounds(floor_ms=floor_ms, told=Told(boot_ms=boot_ms, utc_ms=utc_ms))


def _floor_text(utc_ms: int, boot: str, boot_ms: int) -> str:
    body = {"utc_ms": utc_ms, "boot": boot, "boot_ms": boot_ms}
    return json.dumps(body | {"crc": f"{zlib.crc32(json.dumps(body).encode()):08x}"}) + "\n"
