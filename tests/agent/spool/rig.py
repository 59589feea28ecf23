"""A spool on a card that can fail, lose power and rot; a center that keeps what it was sent; and the audit of both."""

import errno
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.errors import SpoolError
from agent.seal import Limits, Moment, Sealer
from agent.spool import frames
from agent.spool.disk import Disk
from agent.spool.frames import FrameKind, Name, parse_name
from agent.spool.settle import Settling
from agent.spool.shelf import Ref
from agent.spool.spool import Facts, Settings, Spool
from agent.wire.ack import Ack, Range, Refused, Settled
from agent.wire.batch import Batch, Clock, Kind, Stream, open_batch
from agent.wire.bodies import Gap, Start, decode_gap, decode_start
from agent.wire.chain import ChainReport, Ledger
from agent.wire.keys import Signer, Verifier
from agent.wire.senml import Row
from agent.wire.spans import Spans

CITY, NODE = "bandung", "dago-01"
KEY = Signer(hashlib.sha256(b"spool tests").digest())
VERIFIER = Verifier(KEY.public)
TELEMETRY, ALARM = Stream.TELEMETRY, Stream.ALARM
BOOT = b"\xb0\x07" * 8
ChainKey = tuple[bytes, Stream]
SMALL = Settings(
    telemetry_cap=2**20, alarm_cap=2**20, free_disk=0, segment=8 * 1024, limits=Limits(rows=20, plain_bytes=4096)
)


def run_id(number: int) -> bytes:
    """Return the id of a test's nth run."""
    return number.to_bytes(16, "big")


class Card(Disk):
    """A disk that fails where told, and that forgets at a power cut what was not synced."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder
        self.calls: Counter[str] = Counter()
        self.fails: Callable[[str], bool] = lambda _: False
        self.error = errno.EIO
        self._synced: dict[str, int] = {}
        self._named: set[str] = set()
        self._open: dict[int, str] = {}
        self._removed: list[tuple[str, bytes]] = []

    def _call(self, what: str) -> None:
        self.calls[what] += 1
        if self.fails(what):
            raise OSError(self.error, os.strerror(self.error))

    def _folder_synced(self) -> None:
        self._named = set(os.listdir(self.folder))  # noqa: PTH208 - the names are wanted, as the folder holds them
        self._removed.clear()

    def prepare(self) -> list[Name]:
        try:
            self._call("prepare")
        except OSError as error:
            raise SpoolError("the folder cannot be used") from error
        found = super().prepare()
        self._folder_synced()
        self._synced = {str(name): self._path(name).stat().st_size for name in found}
        return found

    def read(self, name: Name) -> bytes:
        self._call("read")
        return super().read(name)

    def read_at(self, name: Name, offset: int, length: int) -> bytes:
        self._call("read_at")
        return super().read_at(name, offset, length)

    def cut(self, name: Name, size_bytes: int) -> None:
        self._call("cut")
        super().cut(name, size_bytes)
        self._synced[str(name)] = size_bytes

    def create(self, name: Name) -> int:
        self._call("create")
        descriptor = super().create(name)
        self._open[descriptor] = str(name)
        self._synced[str(name)] = 0
        return descriptor

    def reserve(self, stream: Stream, size_bytes: int) -> bool:
        try:
            self._call("reserve")
        except OSError:
            return False
        return super().reserve(stream, size_bytes)

    def create_reserved(self, name: Name) -> int:
        self._call("create_reserved")
        descriptor = super().create_reserved(name)
        self._open[descriptor] = str(name)
        self._synced[str(name)] = 0
        return descriptor

    def append(self, descriptor: int, data: bytes) -> None:
        try:
            self._call("append")
        except OSError:
            super().append(descriptor, data[: len(data) // 2])  # a full disk takes what fits
            raise
        super().append(descriptor, data)

    def sync(self, descriptor: int, *, new: bool) -> None:
        self._call("sync")
        name = self._open[descriptor]
        if new:
            os.fsync(descriptor)
            self._synced[name] = (self.folder / name).stat().st_size
            self._call("folder sync")
            self._folder_synced()
        super().sync(descriptor, new=new)
        self._synced[name] = (self.folder / name).stat().st_size

    def close(self, descriptor: int) -> None:
        self._open.pop(descriptor, None)
        super().close(descriptor)

    def __del__(self) -> None:
        for descriptor in list(self._open):  # a process that is gone holds no files
            self.close(descriptor)

    def remove(self, name: Name) -> None:
        self._call("remove")
        path = self._path(name)
        if path.exists():
            self._removed.append((str(name), path.read_bytes()))
        super().remove(name)

    def probe(self, size_bytes: int) -> None:
        self._call("probe")
        super().probe(size_bytes)

    def free_bytes(self) -> int:
        self._call("free")
        return super().free_bytes()

    def lose_power(self, keep: Callable[[int], int]) -> None:
        """Forget what was not synced.

        Args:
            keep: Told how many things of a kind were not synced, says how many of them are on the card all the same.
        """
        for descriptor in list(self._open):
            self.close(descriptor)
        back = keep(len(self._removed))
        for name, data in self._removed[len(self._removed) - back :] if back else ():
            if self._synced.get(name):
                (self.folder / name).write_bytes(data)
        for path in sorted(self.folder.iterdir()):
            if path.name not in self._named and not keep(1):
                path.unlink()
                continue
            synced, size = self._synced.get(path.name, 0), path.stat().st_size
            if size > synced:
                os.truncate(path, synced + keep(size - synced))


@dataclass(slots=True)
class Audit:
    """What disk and center hold together."""

    batches: dict[tuple[bytes, Stream, int], Batch] = field(default_factory=dict)
    on_disk: set[tuple[bytes, Stream, int]] = field(default_factory=set)
    unsealed: dict[ChainKey, dict[int, Row]] = field(default_factory=dict)
    in_batches: dict[ChainKey, Counter[int]] = field(default_factory=dict)
    reports: dict[ChainKey, ChainReport] = field(default_factory=dict)
    starts: dict[ChainKey, Start] = field(default_factory=dict)
    gaps: list[tuple[Batch, Gap]] = field(default_factory=list)

    def gap_rows(self, key: ChainKey) -> Spans:
        """Return the rows of an origin that gaps name."""
        spans = [(s.first, s.last) for b, gap in self.gaps for s in gap.rows if (s.origin, b.header.stream) == key]
        return Spans(spans)

    def of(self, key: ChainKey) -> list[Batch]:
        """Return the batches of a chain, in order."""
        return [batch for name, batch in sorted(self.batches.items()) if name[:2] == key]


def open_message(message: bytes) -> Batch:
    """Open a batch as the center does."""
    return open_batch(message, city=CITY, node=NODE, find_key={VERIFIER.kid: VERIFIER}.get)


def scan(path: Path) -> frames.Scan:
    """Read a segment."""
    name = parse_name(path.name)
    assert name is not None, f"{path.name} is no segment"
    return frames.scan(name, path.read_bytes())


def read_disk(folder: Path) -> tuple[list[bytes], list[tuple[ChainKey, int, list[Row]]]]:
    """Return the messages and the rows that the good frames of all segments hold."""
    messages: list[bytes] = []
    rows: list[tuple[ChainKey, int, list[Row]]] = []
    for path in sorted(folder.iterdir()):
        name = parse_name(path.name)
        if path.suffix == ".reserve":
            continue
        assert name is not None, f"{path.name} is no segment"
        for frame in frames.frames(name, path.read_bytes()):
            if frame.kind in (FrameKind.BATCH, FrameKind.COPY):
                messages.append(frames.message_of(frame))
            elif frame.kind == FrameKind.ROWS:
                rows.append(((name.run, name.stream), *frames.decode_rows(frame.body)))
    return messages, rows


def collect(folder: Path, delivered: Iterable[bytes] = ()) -> Audit:
    """Read the disk and what the center has; every message must open, and no two may share a name."""
    messages, rows = read_disk(folder)
    found = Audit()
    ledger = Ledger()
    for at, message in enumerate([*messages, *delivered]):
        batch = open_message(message)
        header = batch.header
        name = (header.run, header.stream, header.n)
        if at < len(messages):
            found.on_disk.add(name)
        if name in found.batches:
            assert found.batches[name].message == message, f"two different batches have the name {name}"
            continue
        found.batches[name] = batch
        ledger.add_batch(batch)
        origin = (header.origin or header.run, header.stream)
        seqs = found.in_batches.setdefault(origin, Counter())
        seqs.update(range(header.seq0, header.seq0 + header.count))
        if header.kind is Kind.START:
            found.starts[header.run, header.stream] = decode_start(batch.plain)
        elif header.kind is Kind.GAP:
            found.gaps.append((batch, decode_gap(batch.plain)))
    for key, seq0, some in rows:
        found.unsealed.setdefault(key, {}).update(enumerate(some, seq0))
    found.reports = {(report.run, report.stream): report for report in ledger.report()}
    return found


class Rig:
    """A node's spool over many runs, and the truth about what it was given.

    Attributes:
        given: Every row per run and stream, in order of its number.
        durable: The highest number that a call which returned has made durable.
        delivered: What the center has.
        names: The hash under which each batch was first seen.
    """

    def __init__(self, folder: Path, settings: Settings = SMALL) -> None:
        self._set(folder, settings)
        folder.mkdir(parents=True, exist_ok=True)
        self.start()

    def _set(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self.facts = Facts(version="1.2.3", config_hash="c0ffee", config='{"a":1}')
        self.runs = 0
        self.now_ms = 1_000_000
        self.given: dict[ChainKey, list[Row]] = {}
        self.durable: dict[ChainKey, int] = {}
        self.delivered: dict[tuple[bytes, Stream, int], bytes] = {}
        self.names: dict[tuple[bytes, Stream, int], bytes] = {}
        self.card: Card
        self.spool: Spool

    @property
    def run(self) -> bytes:
        """The run that writes now."""
        return run_id(self.runs)

    def moment(self) -> Moment:
        """Return a moment after every row so far."""
        self.now_ms += 1000
        utc_ms = 1_795_000_000_000 + self.now_ms
        return Moment(boot=BOOT, boot_ms=self.now_ms, utc_ms=utc_ms, clock=Clock.SYNCHRONISED)

    def start(self) -> None:
        """Begin a run."""
        self.start_with(lambda _: False)

    def start_with(self, fails: Callable[[str], bool]) -> None:
        """Begin a run on a disk that fails where told."""
        self.runs += 1
        self.card = Card(self.folder)
        self.card.fails = fails
        sealer = Sealer(city=CITY, node=NODE, run=self.run, signer=KEY)
        self.spool = Spool(self.card, sealer, self.settings, self.facts)
        self.spool.open()

    def crash(self, keep: Callable[[int], int] = lambda _: 0) -> None:
        """Lose power: all that was not synced goes, but for what ``keep`` says."""
        self.card.lose_power(keep)

    def restart(self) -> None:
        """Lose power and begin the next run."""
        self.crash()
        self.start()

    def rows(self, count: int, sensors: int = 4) -> list[Row]:
        """Return new rows, each with an identity of its own."""
        found = []
        for at in range(count):
            self.now_ms += 7
            flags = ("stale", "step") if at % 5 == 0 else ()
            row = Row(
                path=f"s{at % sensors}/v", unit="m", boot_ms=self.now_ms, value=self.now_ms * 0.37 % 97, flags=flags
            )
            found.append(row)
        return found

    def commit(
        self, telemetry: int | Sequence[Row] = 0, alarm: int | Sequence[Row] = 0, seal: Iterable[Stream] = ()
    ) -> list[Ref]:
        """Give rows to the spool; SpoolError passes through, and the rows then count as given all the same."""
        rows = {
            stream: self.rows(some) if isinstance(some, int) else some
            for stream, some in ((ALARM, alarm), (TELEMETRY, telemetry))
        }
        for stream, some in rows.items():
            if some:
                self.given.setdefault((self.run, stream), []).extend(some)
        done = self.spool.commit(rows, moment=self.moment(), seal=frozenset(seal))
        self.note_durable()
        return done

    def note_durable(self) -> None:
        """A call returned: all that was given is durable."""
        for key, rows in self.given.items():
            if key[0] == self.run:
                self.durable[key] = len(rows)

    def record(self, kind: Kind, body: bytes, stream: Stream) -> list[Ref]:
        """Seal a record that is no reading."""
        done = self.spool.record(kind, body, stream, self.moment())
        self.note_durable()
        return done

    def close(self) -> None:
        """End the run cleanly."""
        self.spool.close(self.moment())
        self.note_durable()

    def fork(self, folder: Path) -> "Rig":
        """Return the same node and truth on a copy of the disk, before its next run has opened it."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        other = object.__new__(Rig)
        other._set(folder, self.settings)
        other.facts, other.runs, other.now_ms = self.facts, self.runs, self.now_ms
        other.given = {key: list(rows) for key, rows in self.given.items()}
        other.durable, other.delivered, other.names = dict(self.durable), dict(self.delivered), dict(self.names)
        return other

    # -- the center -------------------------------------------------------------------------------------------------

    def deliver(self, key: ChainKey, n: int) -> bytes | None:
        """Send one batch to the center; return its hash."""
        stored = self.spool.read(Ref(run=key[0], stream=key[1], n=n))
        if stored is not None:
            self.delivered[*key, n] = stored.message
            return stored.hash
        return None

    def ack(
        self,
        key: ChainKey,
        n: int = 0,
        batch_hash: bytes = bytes(32),
        *,
        ranges: Sequence[Range] = (),
        refused: Sequence[Refused] = (),
        hello: bool = False,
    ) -> Settling:
        """Hand an ack to the spool."""
        settled = Settled(run=key[0], stream=key[1], n=n, hash=batch_hash, ranges=tuple(ranges))
        return self.spool.settle(
            Ack(
                nonce=bytes(16),
                settled=(settled,),
                center_utc_ms=1,
                window_bytes=1,
                rate_bytes_per_s=1,
                refused=tuple(refused),
                answers_hello=hello,
            )
        )

    def settle(self, key: ChainKey, upto: int | None = None) -> int:
        """Deliver a chain up to n (all of it without one) and ack what is settled without a hole; return that n."""
        held = next((one for one in self.spool.held() if (one.run, one.stream) == key), None)
        if held is None:
            return 0
        settled, settled_hash = held.settled, b""
        last = min(held.last, upto or held.last)
        hashes = {n: self.deliver(key, n) for n in range(held.settled + 1, last + 1)}
        for n, found in hashes.items():
            if found is None and not self._excused(key, n):
                break
            if found is not None:
                settled, settled_hash = n, found
        if settled_hash:
            self.ack(key, settled, settled_hash)
        return settled

    def _excused(self, key: ChainKey, n: int) -> bool:
        """Tell whether a gap that the center has names n."""
        for message in self.delivered.values():
            batch = open_message(message)
            if batch.header.kind is Kind.GAP and batch.header.stream is key[1]:
                gap = decode_gap(batch.plain)
                if any(span.run == key[0] and span.first <= n <= span.last for span in gap.chains):
                    return True
        return (*key, n) in self.delivered

    def settle_all(self) -> None:
        """Deliver and ack whatever is held, until nothing moves any more."""
        for _ in range(3):
            for held in self.spool.held():
                self.settle((held.run, held.stream))

    # -- the audit --------------------------------------------------------------------------------------------------

    def audit(self, *, lossless: bool = True, sound: bool = True, once: bool = True) -> Audit:
        """Hold what disk and center have against the truth, by seq.

        Args:
            lossless: Rows that were durable are in a batch or a frame; else a gap will do.
            sound: The ledger finds no contradiction.
            once: No row is in two batches.
        """
        found = collect(self.folder, self.delivered.values())
        for name, batch in found.batches.items():
            assert self.names.setdefault(name, batch.hash) == batch.hash, f"{name} was another batch before"
            header = batch.header
            if header.count:
                truth = self.given[header.origin or header.run, header.stream]
                wanted = truth[header.seq0 - 1 : header.seq0 - 1 + header.count]
                assert sorted(batch.rows, key=_identity) == sorted(wanted, key=_identity), name
            assert header.origin not in self.empty_origins(), f"{name} takes over rows that its origin never had"
        for key, rows in found.unsealed.items():
            for seq, row in rows.items():
                assert self.given[key][seq - 1] == row, f"row {seq} of {key} is not what was given"
        for key, report in found.reports.items():
            if sound:
                assert report.sound, report.findings
            unsealed = found.unsealed.get(key, {})
            missing = [seq for low, high in report.missing_rows for seq in range(low, high + 1) if seq not in unsealed]
            assert not missing, f"rows {missing} of {key} are neither settled, held nor in a gap"
            assert not report.missing, f"batches {report.missing} of {key} are neither here nor in a gap"
        for key, last in self.durable.items():
            sealed, unsealed = found.in_batches.get(key, Counter[int]()), found.unsealed.get(key, {})
            gap = found.gap_rows(key)
            for seq in range(1, last + 1):
                here = sealed[seq] or seq in unsealed or (not lossless and seq in gap)
                assert here, f"row {seq} of {key} was durable and is lost"
                if once:
                    assert sealed[seq] <= 1, f"row {seq} of {key} is in {sealed[seq]} batches"
        return found

    def empty_origins(self) -> set[bytes]:
        """Return the runs that took no row."""
        return {run_id(n) for n in range(1, self.runs + 1)} - {run for run, _ in self.given}

    def size_bytes(self, stream: Stream | None = None) -> int:
        """Return the bytes on disk."""
        names = [(path, parse_name(path.name)) for path in self.folder.iterdir()]
        return sum(path.stat().st_size for path, name in names if name and stream in (None, name.stream))

    def segments(self, stream: Stream | None = None) -> list[Path]:
        """Return the segments, oldest first."""
        return [
            path
            for path in sorted(self.folder.iterdir())
            if (name := parse_name(path.name)) and stream in (None, name.stream)
        ]


def _identity(row: Row) -> tuple[str, int]:
    return row.path, row.boot_ms


def refusing(call: Callable[[], object]) -> bool:
    """Tell whether a call raises SpoolError."""
    try:
        call()
    except SpoolError:
        return True
    return False
