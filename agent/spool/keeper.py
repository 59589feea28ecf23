"""The keeper: owns the runs of this process and where they write. Confined to the spool's thread.

While the disk refuses, rows go to a run in memory, which still sends. What only memory holds is lost when the process
ends; so the disk is tried again and again, and takes over what the center does not have by then.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agent.errors import SpoolError
from agent.seal import Moment, Sealer
from agent.spool.disk import Disk
from agent.spool.memory import MemoryDisk
from agent.spool.settle import Settling
from agent.spool.shelf import Ref, Stored
from agent.spool.spool import Facts, Settings, Spool
from agent.sync import Held
from agent.wire import batch
from agent.wire.ack import Ack
from agent.wire.batch import ID_BYTES, Kind, Stream
from agent.wire.senml import Row

log = logging.getLogger(__name__)

_AROUND_BYTES = 512
"""Header, signature and frame around a body, at most."""
_FIRST_WAIT_MS = 10_000
_LONGEST_WAIT_MS = 600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a write left.

    Attributes:
        run: The run that takes rows now.
        volatile: True when that run lives in memory, because the disk refuses.
        refs: Batches that may be sent from now on.
    """

    run: bytes
    volatile: bool = False
    refs: tuple[Ref, ...] = ()


def _draw_run() -> bytes:
    return os.urandom(ID_BYTES)


class Keeper:
    """Takes rows and records, gives batches, frees what acks name. A disk that refuses is no error here."""

    def __init__(
        self,
        disk: Disk,
        sealer: Sealer,
        settings: Settings,
        facts: Facts,
        *,
        draw_run: Callable[[], bytes] = _draw_run,
    ) -> None:
        """Make a keeper.

        Args:
            disk: Where the spool lies.
            sealer: Of the first run.
            settings: Bounds of the spool.
            facts: What start records say of this process.
            draw_run: Draws the id of a further run.
        """
        self._medium = disk
        self._sealer = sealer
        self._settings = settings
        self._facts = facts
        self._draw_run = draw_run
        self._disk = Spool(disk, sealer, settings, facts)
        self._memory: Spool | None = None
        self._wait_ms = _FIRST_WAIT_MS
        self._changed_ms = 0

    @property
    def volatile(self) -> bool:
        """True while rows go to memory, because the disk refuses."""
        return self._memory is not None

    def open(self) -> None:
        """Read what is there; on a disk that cannot be used at all, begin in memory."""
        try:
            self._disk.open()
        except SpoolError as error:
            log.error("rows go to memory: run=%s error=%s", self._sealer.run.hex(), error)  # noqa: TRY400 - weather
            self._memory = self._in_memory(self._sealer)

    def close(self, moment: Moment) -> None:
        """Seal what waits and say that this run ended cleanly; where the disk refuses even that, the log says so."""
        if self._memory is not None:
            self._come_back(moment)
        if self._memory is not None:
            log.error("rows that only memory held are lost: rows=%d", _unsettled_rows(self._memory))
            return
        try:
            self._disk.close(moment)
        except SpoolError:
            try:
                self._disk.commit({}, moment=moment)
            except SpoolError as error:
                log.error("the end of the run is not on the disk: %s", error)  # noqa: TRY400 - weather, not a bug
        self._disk.hand_over()

    def commit(
        self, rows: dict[Stream, Sequence[Row]], *, moment: Moment, seal: frozenset[Stream] = frozenset()
    ) -> Receipt:
        """Take rows; seal the streams that are told."""
        return self._write(lambda spool: spool.commit(rows, moment=moment, seal=seal), moment)

    def record(self, kind: Kind, body: bytes, stream: Stream, moment: Moment) -> Receipt:
        """Take one record that is no reading."""
        return self._write(lambda spool: spool.record(kind, body, stream, moment), moment)

    def reseal(self, ref: Ref, most_bytes: int, moment: Moment) -> Receipt:
        """Seal the rows of a batch again so that no message is larger than the broker takes, now and from now on.

        Returns:
            The smaller batches and the gap that names the old one, which need not leave any more; no batches where it
            cannot be cut or cannot be read: one that cannot be cut counts as refused.
        """
        stored = self.read(ref)
        header = None if stored is None else batch.peek(stored.message)
        if stored is None or header is None:
            return self._receipt([])
        if header.kind is not Kind.READINGS or header.count <= 1:
            log.error("a batch too large for the broker cannot be cut, kept here: run=%s n=%d", ref.run.hex(), ref.n)
            for spool in self._spools():
                spool.refuse(ref)
            return self._receipt([])
        limits = self._settings.limits
        limits = replace(limits, plain_bytes=max(1, min(limits.plain_bytes, most_bytes - _AROUND_BYTES)))
        self._settings = replace(self._settings, limits=limits)
        for spool in self._spools():
            spool.limit(limits)
        receipt = self._write(lambda spool: spool.reseal(stored, moment), moment)
        for spool in self._spools():
            if (chain := spool.index.chains.get(ref.key)) is not None:
                chain.gone.add(ref.n, ref.n)
        return receipt

    def _receipt(self, refs: list[Ref]) -> Receipt:
        return Receipt(run=self._sealer.run, volatile=self._memory is not None, refs=tuple(refs))

    def _write(self, write: Callable[[Spool], list[Ref]], moment: Moment) -> Receipt:
        refs: list[Ref] = []
        if self._memory is not None and self._is_due(moment):
            refs += self._come_back(moment)
        if self._memory is not None:
            refs += write(self._memory)
        else:
            try:
                refs += write(self._disk)
            except SpoolError:
                refs += self._write_again(moment)
        return self._receipt(refs)

    def _write_again(self, moment: Moment) -> list[Ref]:
        """Offer the same bytes to another file at once; a disk that refuses them, too, is left."""
        try:
            return self._disk.commit({}, moment=moment)
        except SpoolError as error:
            return self._go_volatile(error, moment)

    # -- to memory and back -----------------------------------------------------------------------------------------

    def _in_memory(self, sealer: Sealer) -> Spool:
        return Spool(MemoryDisk(), sealer, self._settings.in_memory(), self._facts, volatile=True)

    def _go_volatile(self, error: SpoolError, moment: Moment) -> list[Ref]:
        if self._changed_ms + _LONGEST_WAIT_MS < moment.boot_ms:
            self._wait_ms = _FIRST_WAIT_MS
        self._changed_ms = moment.boot_ms
        self._sealer = replace(self._sealer, run=self._draw_run())
        log.error("rows go to memory: run=%s error=%s", self._sealer.run.hex(), error)
        self._memory = self._in_memory(self._sealer)
        self._memory.follow(self._disk)
        return [*self._disk.ready(), *self._memory.commit({}, moment=moment)]

    def _is_due(self, moment: Moment) -> bool:
        self._changed_ms = self._changed_ms or moment.boot_ms
        return moment.boot_ms >= self._changed_ms + self._wait_ms

    def _come_back(self, moment: Moment) -> list[Ref]:
        """Try the disk; where it takes what memory holds, go on there under a new run."""
        memory = self._memory
        if memory is None:
            return []
        refs = memory.seal_rest(moment)
        sealer = replace(self._sealer, run=self._draw_run())
        disk = Spool(self._medium, sealer, self._settings, self._facts)
        self._changed_ms = moment.boot_ms
        self._wait_ms = min(2 * self._wait_ms, _LONGEST_WAIT_MS)
        try:
            self._medium.probe(self._settings.segment)
            disk.open(memory)
        except (OSError, SpoolError):
            return refs
        disk.learn(self._disk)
        self._disk = disk
        try:
            refs += disk.bring_home(memory, moment)
        except SpoolError:
            disk.hand_over()
            return [*refs, *disk.ready()]
        self._memory, self._sealer = None, sealer
        rows = sum(chain.taken for chain in memory.index.chains.values())
        log.info("disk takes rows again: run=%s rows_in_memory=%d", sealer.run.hex(), rows)
        return refs

    # -- giving -----------------------------------------------------------------------------------------------------

    def _spools(self) -> tuple[Spool, ...]:
        return (self._disk,) if self._memory is None else (self._disk, self._memory)

    def held(self) -> list[Held]:
        """Return every chain with a batch here, oldest first."""
        return list({(one.run, one.stream): one for spool in self._spools() for one in spool.held()}.values())

    def read(self, ref: Ref) -> Stored | None:
        """Return a batch after checking it once more; None when it is not here or its bytes have gone bad."""
        found = (spool.read(ref) for spool in reversed(self._spools()))
        return next((one for one in found if one is not None), None)

    def settle(self, ack: Ack) -> Settling:
        """Take an ack whose signature and nonce hold."""
        found = [spool.settle(ack) for spool in self._spools()]
        progress = {one.key: one for settling in found for one in settling.progress}
        conflicts = dict.fromkeys(one for settling in found for one in settling.conflicts)
        refused = dict.fromkeys(one for settling in found for one in settling.refused)
        return Settling(progress=tuple(progress.values()), conflicts=tuple(conflicts), refused=tuple(refused))


def _unsettled_rows(memory: Spool) -> int:
    chains = memory.index.chains
    return sum(facts.count for ref, facts, _ in memory.batches() if not chains[ref.key].is_settled(ref.n))
