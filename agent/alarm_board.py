"""Where all alarms stand, in one file of the run folder: what `gardu alarms` shows.

The daemon writes it on change. It names its boot and its process, so what stands in it means nothing after a restart
of the machine, and little when the daemon is gone.
"""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from agent import whole_file
from agent.alarm import State
from agent.alarm_book import FILE, AlarmBook
from agent.rule import Rule

log = logging.getLogger(__name__)

_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One alarm as it is shown.

    Attributes:
        name: The alarm.
        watches: ``sensor/channel``, or whose silence.
        state: What was told last.
        severity: The level it weighs as, or None.
        since_utc_ms: When it was told, as far as the time was believed.
        since_boot_ms: The same in ms since the machine's start; None where it was told before the agent's start.
        why: What was said then.
        beneath: What its readings say now.
        hidden_by: The alarm that explains it, while something is hidden; else empty.
        flapping: It changes too often and is slowed down.
        asleep: It is outside its hours.
    """

    name: str
    watches: str
    state: str
    severity: str | None
    since_utc_ms: int | None
    since_boot_ms: int | None
    why: str
    beneath: str
    hidden_by: str
    flapping: bool
    asleep: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the file says.

    Attributes:
        boot: Kernel boot id in which it was written, in hex.
        pid: The process that wrote it.
        lines: The alarms.
    """

    boot: str
    pid: int
    lines: tuple[Line, ...]


class Board:
    """Keeps the file.

    Args:
        folder: The run folder.
        boot: Kernel boot id.
        rules: What is watched.
        book: Knows when each was told.
    """

    def __init__(self, folder: Path, boot: bytes, rules: Sequence[Rule], book: AlarmBook) -> None:
        self._path = folder / FILE
        self._boot = boot.hex()
        self._watches = {rule.name: rule.watched for rule in rules}
        self._book = book
        self._shown: dict[str, State] | None = None
        self._refused = False

    def show(self, states: Mapping[str, State]) -> None:
        """Write where the alarms stand, when it is not what the file says already."""
        if states == self._shown:
            return
        lines = [asdict(self._line(name, state)) for name, state in states.items()]
        text = json.dumps({"boot": self._boot, "pid": os.getpid(), "alarms": lines}, indent=1, ensure_ascii=False)
        try:
            whole_file.replace(self._path, text + "\n", durably=False)
        except OSError as error:
            if not self._refused:
                log.warning("alarms not shown: path=%s error=%s", self._path, error.strerror or error)
            self._refused = True
        else:
            self._refused = False
            self._shown = dict(states)

    def _line(self, name: str, state: State) -> Line:
        told = self._book.told(name)
        return Line(
            name=name,
            watches=self._watches[name],
            state=state.state,
            severity=state.severity,
            since_utc_ms=told.utc_ms if told and told.state == state.state else None,
            since_boot_ms=None if state.since_ns is None else state.since_ns // _NS_PER_MS,
            why=state.why,
            beneath=state.beneath,
            hidden_by=state.hidden_by,
            flapping=state.flapping,
            asleep=state.asleep,
        )


def read(folder: Path) -> Shown | None:
    """Return what the file says; None when there is none, or it is damaged."""
    try:
        body = json.loads((folder / FILE).read_bytes())
        lines = tuple(Line(**line) for line in body["alarms"])
        return Shown(boot=str(body["boot"]), pid=int(body["pid"]), lines=lines)
    except (OSError, ValueError, KeyError, TypeError):
        return None
