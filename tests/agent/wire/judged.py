"""Lives of runs as signed batches, and what the ledger says of them."""

from dataclasses import replace

from agent.wire.batch import Batch, Stream, open_batch
from agent.wire.bodies import ChainSpan, Gap, Span, Start
from agent.wire.chain import ChainReport, Fault, Ledger
from agent.wire.keys import Verifier
from tests.agent.wire.craft import CITY, NEW_KEY, NODE, NODE_KEY, RUN_A, START, Chain, previous, rows

KEYS = {key.kid: Verifier(key.public) for key in (NODE_KEY, NEW_KEY)}


def opened(data: bytes) -> Batch:
    return open_batch(data, city=CITY, node=NODE, find_key=KEYS.get)


def ledger(*messages: bytes) -> Ledger:
    found = Ledger()
    for data in messages:
        found.add_batch(opened(data))
    return found


def report(found: Ledger, run: bytes = RUN_A, stream: Stream = Stream.TELEMETRY) -> ChainReport:
    return next(one for one in found.report() if (one.run, one.stream) == (run, stream))


def life(run: bytes = RUN_A, batches: int = 5, start: Start = START) -> tuple[Chain, list[bytes]]:
    """A run with a start and batches of two rows each, n 2 with seq 1 and 2, and so on."""
    chain = Chain(run=run)
    return chain, [chain.start(start), *(chain.readings(rows(2, first_ms=i * 10_000)) for i in range(batches))]


def span(messages: list[bytes], first: int, last: int) -> ChainSpan:
    """Batches ``first`` to ``last`` of run A, as a gap names them."""
    return ChainSpan(
        run=RUN_A, first=first, last=last, prev=opened(messages[first - 2]).hash, hash=opened(messages[last - 1]).hash
    )


def gap(*chains: ChainSpan, lost: tuple[Span, ...] = (), reason: str = "full") -> bytes:
    return Gap(chains=chains, rows=lost, from_utc_ms=None, to_utc_ms=None, reason=reason).encode()


def faults(found: ChainReport) -> list[tuple[int, Fault]]:
    return [(finding.n, finding.fault) for finding in found.findings]


def successor(chain: Chain, run: bytes, *, seq: int = 10, clean: bool = True, **more: object) -> tuple[Chain, bytes]:
    heir = Chain(run=run)
    start = replace(START, previous=previous(chain, clean=clean, seq=seq), **more)  # type: ignore[arg-type]  # any field
    return heir, heir.start(start)
