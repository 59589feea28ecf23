"""A keeper over many runs, on disk and in memory, and the truth about what it was given, by the identity of rows."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from agent.seal import Sealer
from agent.spool.keeper import Keeper, Receipt
from agent.spool.shelf import Ref
from agent.spool.spool import Settings, Spool
from agent.wire.batch import Kind, Stream
from agent.wire.senml import Row
from tests.agent.spool.rig import ALARM, CITY, KEY, NODE, SMALL, TELEMETRY, Audit, Card, ChainKey, Rig, collect, run_id

Identity = tuple[Stream, str, int]


class KeeperRig(Rig):
    """A node's keeper.

    Attributes:
        kept: Rows that are durable.
        floating: Rows that only memory holds, or held when the process died.
        seqs: Which row a number means.
        receipt: The last one.
        crashed: True once a process died while rows were in memory.
        was_volatile: True once rows went to memory.
    """

    def __init__(self, folder: Path, settings: Settings = SMALL) -> None:
        self.kept: dict[Identity, Row] = {}
        self.floating: dict[Identity, Row] = {}
        self.seqs: dict[tuple[ChainKey, int], Identity] = {}
        self.receipt = Receipt(run=bytes(16))
        self.crashed = False
        self.was_volatile = False
        super().__init__(folder, settings)

    def draw(self) -> bytes:
        self.runs += 1
        return run_id(self.runs)

    def start_with(self, fails: Callable[[str], bool]) -> None:
        self.card = Card(self.folder)
        self.card.fails = fails
        sealer = Sealer(city=CITY, node=NODE, run=self.draw(), signer=KEY)
        self.keeper = Keeper(self.card, sealer, self.settings, self.facts, draw_run=self.draw)
        self.keeper.open()
        self.spool = self.keeper  # type: ignore[assignment]  # it gives and settles like a spool

    @property
    def volatile(self) -> bool:
        return self.keeper._memory is not None

    @property
    def memory(self) -> Spool:
        assert self.keeper._memory is not None
        return self.keeper._memory

    def crash(self, keep: Callable[[int], int] = lambda _: 0) -> None:
        self.crashed = self.crashed or self.volatile
        self.floating.clear()
        super().crash(keep)

    def wait(self, wait_s: float) -> None:
        """Let time pass."""
        self.now_ms += int(wait_s * 1000)

    def commit(
        self, telemetry: int | Sequence[Row] = 0, alarm: int | Sequence[Row] = 0, seal: Iterable[Stream] = ()
    ) -> list[Ref]:
        rows = {
            stream: self.rows(some) if isinstance(some, int) else some
            for stream, some in ((ALARM, alarm), (TELEMETRY, telemetry))
        }
        new = {(stream, row.path, row.boot_ms): row for stream, some in rows.items() for row in some}
        return self._took(self.keeper.commit(rows, moment=self.moment(), seal=frozenset(seal)), new)

    def record(self, kind: Kind, body: bytes, stream: Stream) -> list[Ref]:
        return self._took(self.keeper.record(kind, body, stream, self.moment()), {})

    def _took(self, receipt: Receipt, new: dict[Identity, Row]) -> list[Ref]:
        self.receipt = receipt
        assert receipt.volatile == self.volatile
        self.was_volatile = self.was_volatile or receipt.volatile
        if receipt.volatile:
            self.floating.update(new)
        else:
            self.kept.update({**self.floating, **new})
            self.floating.clear()
        fails, self.card.fails = self.card.fails, lambda _: False
        for ref in receipt.refs:
            assert self.keeper.read(ref) is not None, f"{ref} was given and cannot be read"
        self.card.fails = fails
        return list(receipt.refs)

    def close(self) -> None:
        self.keeper.close(self.moment())
        if not self.volatile:
            self.kept.update(self.floating)

    def in_memory(self) -> list[bytes]:
        """Return the messages that only memory holds."""
        return [message for _, _, message in self.memory.batches()] if self.volatile else []

    def audit(self, *, lossless: bool = True, sound: bool = True, once: bool = True) -> Audit:
        fails, self.card.fails = self.card.fails, lambda _: False
        found = collect(self.folder, [*self.delivered.values(), *self.in_memory()])
        self.card.fails = fails
        truth = {**self.kept, **self.floating}
        here: set[Identity] = set()
        for name, batch in found.batches.items():
            assert self.names.setdefault(name, batch.hash) == batch.hash, f"{name} was another batch before"
            header = batch.header
            key = (header.origin or header.run, header.stream)
            identities = [(header.stream, row.path, row.boot_ms) for row in batch.rows]
            here.update(identities)
            for row, identity in zip(batch.rows, identities, strict=True):
                assert truth.get(identity, row) == row, f"{name} holds another row than was given"
            self._number(key, header.seq0, sorted(identities, key=lambda identity: identity[2]))
        unsealed = {key: dict(rows) for key, rows in found.unsealed.items()}
        if self.volatile:
            for stream, stream_here in self.memory._open.items():
                key = (self.receipt.run, stream)
                unsealed.setdefault(key, {}).update(enumerate(stream_here.unsealed, stream_here.end.seq + 1))
        for key, rows in unsealed.items():
            for seq, row in rows.items():
                self._number(key, seq, [(key[1], row.path, row.boot_ms)])
                here.add((key[1], row.path, row.boot_ms))
        gone: set[Identity] = set()
        for key in found.reports:
            for first, last in found.gap_rows(key):
                gone.update(self.seqs[key, seq] for seq in range(first, last + 1) if (key, seq) in self.seqs)
        lost = [identity for identity in truth if identity not in here and (lossless or identity not in gone)]
        assert not lost, f"{len(lost)} rows, {lost[:3]} first, are neither here nor in a gap"
        for key, report in found.reports.items():
            if sound:
                assert report.sound, report.findings
            if report.volatile and self.crashed:
                continue
            assert not report.missing, f"batches {report.missing} of {key} are neither here nor in a gap"
            for low, high in report.missing_rows:
                for seq in range(low, high + 1):
                    lost_in_memory = self.crashed and self.seqs.get((key, seq)) not in truth
                    known = seq in unsealed.get(key, {}) or lost_in_memory
                    assert known, f"row {seq} of {key} is neither settled, held nor in a gap"
        if once and not self.was_volatile:
            assert all(count == 1 for seqs in found.in_batches.values() for count in seqs.values())
        return found

    def _number(self, key: ChainKey, seq0: int, identities: Sequence[Identity]) -> None:
        """Note which rows numbers mean: never two."""
        for seq, identity in enumerate(identities, seq0):
            assert self.seqs.setdefault((key, seq), identity) == identity, f"{seq} of {key} means two rows"

    def tightened(self, **changes: int) -> None:
        """Change the bounds from the next start on."""
        self.settings = replace(self.settings, **changes)  # type: ignore[arg-type]  # of Settings' own
