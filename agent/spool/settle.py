"""What an ack may free: only batches whose own hash the center repeats. Pure but for the hashes it asks for."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.spool.chains import Chain, ChainKey
from agent.spool.index import Index
from agent.wire.ack import Ack, Settled
from agent.wire.spans import Spans

HashAt = Callable[[ChainKey, int], bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a chain stands at the center now: all up to n, the ranges above it, and what it refused for good."""

    key: ChainKey
    n: int
    ranges: tuple[tuple[int, int], ...]
    refused: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """What an ack changed.

    Attributes:
        progress: Chains that moved.
        conflicts: Batches of which the center names another hash than ours, each told once; nothing is freed.
        refused: Batches refused for good, with the reason.
    """

    progress: tuple[Progress, ...] = ()
    conflicts: tuple[tuple[ChainKey, int], ...] = ()
    refused: tuple[tuple[ChainKey, int, str], ...] = ()


def settle(index: Index, ack: Ack, hash_at: HashAt) -> Settling:
    """Take an ack whose signature and nonce hold; note in the index what it frees.

    A batch is settled at or below n when our own hash at n is the center's, or inside a range whose last hash is ours.
    n moves back only in the answer to a hello: the center was restored and is offered again what is here.
    """
    progress: dict[ChainKey, Progress] = {}
    conflicts: list[tuple[ChainKey, int]] = []
    for item in ack.settled:
        chain = index.chains.get((item.run, item.stream))
        if chain is None:
            continue
        before = (chain.settled, tuple(chain.ranges))
        found = _settle_chain(chain, item, hash_at, may_go_back=ack.answers_hello)
        conflicts += [(chain.key, n) for n in found if n not in chain.disputed]
        chain.disputed.update(found)
        if before != (chain.settled, tuple(chain.ranges)):
            progress[chain.key] = _progress(chain)
    refused: list[tuple[ChainKey, int, str]] = []
    for one in ack.refused:
        chain = index.chains.get((one.run, one.stream))
        if chain is not None and one.n not in chain.refused and hash_at(chain.key, one.n) == one.hash:
            chain.refused.add(one.n)
            refused.append((chain.key, one.n, one.reason))
            progress[chain.key] = _progress(chain)
    return Settling(progress=tuple(progress.values()), conflicts=tuple(conflicts), refused=tuple(refused))


def _progress(chain: Chain) -> Progress:
    return Progress(key=chain.key, n=chain.settled, ranges=tuple(chain.ranges), refused=frozenset(chain.refused))


def _settle_chain(chain: Chain, item: Settled, hash_at: HashAt, *, may_go_back: bool) -> list[int]:
    """Settle what fits; return the n of which the center names another hash."""
    conflicts: list[int] = []
    settled = chain.settled
    if item.n > settled or (may_go_back and item.n < settled):
        own = hash_at(chain.key, item.n) if item.n else item.hash
        if own == item.hash:
            settled = item.n
        elif own is not None:
            conflicts.append(item.n)
        elif may_go_back and item.n < settled:
            settled = item.n  # the batch itself is gone here: what is left above it is offered again
    ranges = Spans() if may_go_back else Spans(chain.ranges)
    for one in item.ranges:
        own = hash_at(chain.key, one.last)
        if own == one.hash:
            ranges.add(one.first, one.last)
        elif own is not None:
            conflicts.append(one.last)
    end = ranges.run_from(settled + 1)
    chain.settled = max(settled, end)
    chain.ranges = Spans((max(first, chain.settled + 1), last) for first, last in ranges if last > chain.settled)
    return conflicts
