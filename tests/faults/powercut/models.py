"""Three cards: what of a history a card still holds when the power goes at a given moment. Pure."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from tests.faults.powercut.history import BlockWrite, Flush, History, Write

SECTOR_BYTES = 512
_LYING_WRITES = 64
_ROT_TRIES = 50


class Model(StrEnum):
    """How a card behaves.

    The first two are honest: what a flush covered is kept.
    """

    PREFIX = "prefix"
    """All writes up to the cut arrive in order, the last one perhaps torn."""
    REORDER = "reorder"
    """Of the writes since the last flush any arrive, whole or torn."""
    LYING = "lying"
    """The card said that it had flushed and had not: of the last 64 writes any are lost or torn."""
    ROT = "rot"
    """All writes arrive, and one sector has gone bad since."""

    @property
    def honest(self) -> bool:
        """Tell whether the card keeps what a flush covered."""
        return self in (Model.PREFIX, Model.REORDER)


def torn(data: bytes, chance: random.Random) -> Callable[[bytes], bytes]:
    """Return what a torn write makes of the bytes that were there: some sectors new, the others as before.

    Usually the first sectors are new; a card that writes several pages at once may have finished any of them.
    """
    sectors = -(-len(data) // SECTOR_BYTES)
    if chance.random() < 0.5:
        done = set(range(chance.randrange(sectors)))
    else:
        done = {at for at in range(sectors) if chance.random() < 0.5}

    def apply(old: bytes) -> bytes:
        new = bytearray(old)
        for at in done:
            new[at * SECTOR_BYTES : (at + 1) * SECTOR_BYTES] = data[at * SECTOR_BYTES : (at + 1) * SECTOR_BYTES]
        return bytes(new)

    return apply


@dataclass(slots=True)
class _Card:
    """The bytes of a card while a history goes by: ``sure`` holds the first ``done`` writes."""

    sure: bytearray
    done: int = 0


class BlockCuts:
    """States of a card at cuts that never go back, so that each is built upon the one before."""

    def __init__(self, base: bytes, history: History, model: Model, chance: random.Random) -> None:
        self._history = history
        self._model = model
        self._chance = chance
        self._card = _Card(bytearray(base))
        self._writes: list[BlockWrite] = []
        self._count = [0]  # writes before record i
        self._kept = [0]  # of these, covered by a flush
        for record in history.records:
            if isinstance(record, BlockWrite):
                self._writes.append(record)
            self._count.append(len(self._writes))
            self._kept.append(len(self._writes) if isinstance(record, Flush) else self._kept[-1])

    def state(self, cut: int) -> bytearray:
        """Return the card's bytes when the power goes just behind record ``cut - 1``."""
        count = self._count[cut]
        match self._model:
            case Model.PREFIX:
                is_write = cut > 0 and isinstance(self._history.records[cut - 1], BlockWrite)
                sure = count - 1 if is_write and self._chance.random() < 0.7 else count
            case Model.REORDER:
                sure = self._kept[cut]
            case Model.LYING:
                sure = max(0, count - _LYING_WRITES)
            case Model.ROT:
                sure = count
        for write in self._writes[self._card.done : sure]:
            self._card.sure[write.offset : write.offset + len(write.data)] = write.data
        self._card.done = max(sure, self._card.done)
        state = bytearray(self._card.sure)
        for write in self._writes[self._card.done : count]:
            self._arrive(state, write)
        if self._model is Model.ROT:
            self._rot(state, cut)
        return state

    def _arrive(self, state: bytearray, write: BlockWrite) -> None:
        """Let a write that nothing has promised arrive, whole, torn or not at all."""
        fate = self._chance.random()
        end = write.offset + len(write.data)
        if self._model is not Model.PREFIX:
            if fate < 0.4:
                return
            if fate < 0.75:
                state[write.offset : end] = write.data
                return
        state[write.offset : end] = torn(write.data, self._chance)(bytes(state[write.offset : end]))

    def _rot(self, state: bytearray, cut: int) -> None:
        """Let one sector that holds something go bad; as a rule one of the spool's own files."""
        if self._chance.random() < 0.8:
            at = self._place_of_rows(state, cut)
        else:
            write = self._chance.choice(self._writes[: self._count[cut]])
            at = write.offset + self._chance.randrange(len(write.data))
        first = at // SECTOR_BYTES * SECTOR_BYTES
        if self._chance.random() < 0.5:
            state[at] ^= 1 << self._chance.randrange(8)
        else:
            state[first : first + SECTOR_BYTES] = self._chance.randbytes(SECTOR_BYTES)

    def _place_of_rows(self, state: bytearray, cut: int) -> int:
        """Return where something that was written to a file lies on the card."""
        written = [record for record in self._history.records[:cut] if isinstance(record, Write)]
        for _ in range(_ROT_TRIES):
            if not written:
                break
            data = self._chance.choice(written).data
            at = state.find(data[:48])
            if at >= 0:
                return at + self._chance.randrange(min(len(data), SECTOR_BYTES))
        return self._writes[self._count[cut] - 1].offset


def choose_cuts(history: History, states: int, chance: random.Random, *, phase: str | None = None) -> list[int]:
    """Return so many moments of a history, in order: half of them anywhere, half spread evenly over its phases.

    A cut at i is behind the first i records. Mounting the empty card is left out.

    Args:
        history: Which.
        states: How many; a moment comes again only when there are no others.
        chance: Chooses.
        phase: Cut only while this goes on.
    """
    first = next(at for at, said in enumerate(history.said) if said.given)
    moments: dict[str, list[int]] = {}
    for cut in range(first, len(history.records) + 1):
        moments.setdefault(phase_at(history, cut), []).append(cut)
    if phase is not None:
        moments = {phase: moments[phase]}
    pools = [[cut for pool in moments.values() for cut in pool] if at % 2 else [] for at in range(2 * len(moments))]
    for at, pool in enumerate(moments.values()):
        pools[2 * at] = list(pool)
    return sorted(_deal(pools, states, chance))


def _deal(pools: list[list[int]], states: int, chance: random.Random) -> Iterator[int]:
    """Yield moments from each pool in turn; a pool that is used up begins anew."""
    decks: list[list[int]] = [[] for _ in pools]
    for state in range(states):
        at = state % len(pools)
        decks[at] = decks[at] or chance.sample(pools[at], len(pools[at]))
        yield decks[at].pop()


def phase_at(history: History, cut: int) -> str:
    """Return what was going on at a cut."""
    return history.said[min(cut, len(history.records) - 1)].phase
