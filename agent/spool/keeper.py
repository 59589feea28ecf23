"""The keeper: owns the runs of this process and the spool they write to. Confined to the spool's thread."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.seal import Moment, Sealer
from agent.spool.disk import Disk
from agent.spool.settle import Settling
from agent.spool.shelf import Ref, Stored
from agent.spool.spool import Facts, Settings, Spool
from agent.sync import Held
from agent.wire.ack import Ack
from agent.wire.batch import Kind, Stream
from agent.wire.senml import Row


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


class Keeper:
    """Takes rows and records, gives batches, frees what acks name."""

    def __init__(self, disk: Disk, sealer: Sealer, settings: Settings, facts: Facts) -> None:
        """Make a keeper.

        Args:
            disk: Where the spool lies.
            sealer: Of the first run.
            settings: Bounds of the spool.
            facts: What start records say of this process.
        """
        self._run = sealer.run
        self._spool = Spool(disk, sealer, settings, facts)

    def open(self) -> None:
        """Read what is there. Raises SpoolError: the folder itself cannot be used."""
        self._spool.open()

    def close(self, moment: Moment) -> None:
        """Seal what waits and say that this run ended cleanly. Raises SpoolError."""
        self._spool.close(moment)

    def commit(
        self, rows: dict[Stream, Sequence[Row]], *, moment: Moment, seal: frozenset[Stream] = frozenset()
    ) -> Receipt:
        """Take rows; seal the streams that are told. Raises SpoolError."""
        return self._receipt(self._spool.commit(rows, moment=moment, seal=seal))

    def record(self, kind: Kind, body: bytes, stream: Stream, moment: Moment) -> Receipt:
        """Take one record that is no reading. Raises SpoolError."""
        return self._receipt(self._spool.record(kind, body, stream, moment))

    def _receipt(self, refs: Sequence[Ref]) -> Receipt:
        return Receipt(run=self._run, refs=tuple(refs))

    def held(self) -> list[Held]:
        """Return every chain with a batch here, oldest first."""
        return self._spool.held()

    def read(self, ref: Ref) -> Stored | None:
        """Return a batch after checking it once more; None when it is not here or its bytes have gone bad."""
        return self._spool.read(ref)

    def settle(self, ack: Ack) -> Settling:
        """Take an ack whose signature and nonce hold."""
        return self._spool.settle(ack)
