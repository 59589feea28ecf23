"""What breaks in a town of real processes: each fault is done, lasts a while, and mostly is over when it returns."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.real.place import Place, Somebody, back_up, frozen, restore
from tests.faults.real.proxy import DRIP, GOOD, MUTE, NARROW, REFUSING, STALLED, Line, Proxy, Side
from tests.system import ledger

_LINES = {"stalls": STALLED, "drips": DRIP, "is narrow": NARROW, "refuses": REFUSING, "is mute": MUTE}
_GOES_ON = 0.3
"""Share of bad lines that are still bad when the next fault comes."""
_LAST_WORDS_S = 10.0


@dataclass(slots=True)
class Breaker:
    """Breaks things in a place, as chance chooses.

    Attributes:
        told: What was done, in order: the list that a failing run prints.
        left: The spool as each killed node left it.
        kinds: How often each kind.
    """

    place: Place
    chance: random.Random
    told: list[str] = field(default_factory=list)
    left: list[dict[str, bytes]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    _backup: Path | None = None
    _begun_s: float = field(default_factory=time.monotonic)

    def choose(self, count: int) -> list[Callable[[], None]]:
        """Return so many faults in random order; every kind comes about as often as any other."""
        kinds = [
            *(self.cut, self.line, self.line, self.half_open),
            *(self.kill_node, self.kill_broker, self.kill_center, self.freeze),
            *(self.restart_broker, self.restore_center),
        ]
        if self.place.card is not None:
            kinds += [self.card_read_only, self.card_dead, self.card_full, self.card_stalled]
        found: list[Callable[[], None]] = []
        while len(found) < count:
            self.chance.shuffle(kinds)
            found += kinds
        return found[:count]

    def heal(self) -> None:
        """Make both lines good."""
        for proxy in (self.place.road, self.place.hall):
            proxy.be(GOOD)

    def a_while(self, most_s: float = 2.5) -> float:
        """Sleep, often so shortly that what was broken last is still coming up; return how long."""
        wait_s = self.chance.uniform(0.0, 0.3) if self.chance.random() < 0.3 else self.chance.uniform(0.3, most_s)
        time.sleep(wait_s)
        return wait_s

    # -- lines ------------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        name, proxy = self._proxy()
        how = self.chance.choice(("rst", "fin"))
        self._tell(f"{name} cut", f"{how}: {proxy.cut('rst' if how == 'rst' else 'fin')} connections")

    def line(self) -> None:
        name, proxy = self._proxy()
        what = self.chance.choice(list(_LINES))
        line: Line = _LINES[what]
        proxy.be(line)
        if line.accept != "relay":
            proxy.cut("rst")
        self._tell(f"{name} {what}")
        self.a_while()
        if self.chance.random() < _GOES_ON:
            self.told[-1] += "on and on"
        else:
            self.heal()
            proxy.close_halves()

    def half_open(self) -> None:
        name, proxy = self._proxy()
        gone: Side = self.chance.choice(("client", "server"))
        self._tell(f"{name} half open", f"{gone} gone: {proxy.half_open(gone)} connections")
        self.a_while()
        self.place.hall.close_halves()  # the center's own patience is a minute; the node must find out by itself

    def _proxy(self) -> tuple[str, Proxy]:
        return self.chance.choice((("road", self.place.road), ("road", self.place.road), ("hall", self.place.hall)))

    # -- processes --------------------------------------------------------------------------------------------------

    def kill_node(self) -> None:
        """Kill it, but never while rows are in memory only: those nobody promised."""
        place = self.place
        place.back_on_disk()
        place.town.node.kill()
        self._tell("node killed")
        self.left.append(ledger.freeze(place.town.spool))
        place.town.node.start()

    def kill_broker(self) -> None:
        self._kill("broker", self.place.town.broker)

    def kill_center(self) -> None:
        self._kill("center", self.place.town.center)

    def _kill(self, name: str, victim: Somebody) -> None:
        victim.kill()
        self._tell(f"{name} killed")
        self.a_while(1.0)
        victim.start()

    def restart_broker(self) -> None:
        """End it in order; it keeps nothing, no session, no message, no retained state."""
        broker = self.place.town.broker
        assert broker.process is not None
        broker.process.terminate()
        broker.process.wait(_LAST_WORDS_S)
        self._tell("broker restarted", "nothing kept")
        broker.start()

    def freeze(self) -> None:
        town = self.place.town
        name, victim = self.chance.choice((("node", town.node), ("broker", town.broker), ("center", town.center)))
        with frozen(victim):
            self._tell(f"{name} frozen", f"{self.a_while(4.0):.1f} s")

    def restore_center(self) -> None:
        """Bring the center back as it was at the last time; the first time only makes a copy."""
        center = self.place.town.center
        if self._backup is None:
            self._backup = back_up(center.store)
            self._tell("center backed up")
            return
        restore(center, self._backup)
        self._backup = None
        self._tell("center restored")

    # -- the card ---------------------------------------------------------------------------------------------------

    def card_read_only(self) -> None:
        assert self.place.card is not None
        self.place.card.go_read_only()
        self._tell("card read-only", f"{self.a_while():.1f} s")
        self.place.card.put_in()

    def card_dead(self) -> None:
        assert self.place.card is not None
        self.place.card.die()
        self._tell("card dead", f"{self.a_while():.1f} s")
        self.place.card.put_in()

    def card_full(self) -> None:
        assert self.place.card is not None
        taken = self.place.card.fill()
        self._tell("card full", f"{taken} bytes of somebody else, {self.a_while():.1f} s")
        self.place.card.free()

    def card_stalled(self) -> None:
        assert self.place.card is not None
        with self.place.card.stalled():
            self._tell("card stalled", f"{self.a_while():.1f} s")

    def _tell(self, kind: str, detail: str = "") -> None:
        self.kinds[kind] += 1
        self.told.append(f"{time.monotonic() - self._begun_s:6.1f} s  {kind} {detail}")
