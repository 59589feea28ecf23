"""Hello: what a node says it holds, at the opening of each connection. Unsigned: a hint and a nonce."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.wire import cbor
from agent.wire.batch import ID_BYTES, VERSION, Stream
from agent.wire.errors import Reason, WireError

CHAINS_PER_PAGE = 128
HELLO_BYTES = 16 * 1024
_PAGES = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One chain with a batch on disk: first and last n held, and the highest seq its records name."""

    run: bytes
    stream: Stream
    first: int
    last: int
    last_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """One page of a hello. ``nonce`` is fresh for each hello and the same on its pages."""

    nonce: bytes
    run: bytes
    boot: bytes
    page: int
    pages: int
    chains: tuple[Chain, ...]


def encode_hello(nonce: bytes, run: bytes, boot: bytes, chains: Sequence[Chain]) -> list[bytes]:
    """Return the MQTT payloads of one hello, a page each, oldest chain first."""
    cut = [chains[at : at + CHAINS_PER_PAGE] for at in range(0, len(chains), CHAINS_PER_PAGE)] or [()]
    return [
        cbor.encode(
            [
                VERSION,
                nonce,
                run,
                boot,
                page,
                len(cut),
                [[c.run, int(c.stream), c.first, c.last, c.last_seq] for c in part],
            ]
        )
        for page, part in enumerate(cut, 1)
    ]


def decode_hello(payload: bytes) -> Hello:
    """Read one page strictly. Raises WireError: size, form, not_canonical, version."""
    if len(payload) > HELLO_BYTES:
        raise WireError(Reason.SIZE, f"a hello of {len(payload)} bytes; at most {HELLO_BYTES}")
    version, nonce, run, boot, page, pages, chains = cbor.array(cbor.decode(payload), "hello", 7)
    if cbor.uint(version, "version") != VERSION:
        raise WireError(Reason.VERSION, f"format {version!r} is not known here")
    hello = Hello(
        nonce=cbor.octets(nonce, "nonce", ID_BYTES),
        run=cbor.octets(run, "run", ID_BYTES),
        boot=cbor.octets(boot, "boot", ID_BYTES),
        page=cbor.uint(page, "page", _PAGES),
        pages=cbor.uint(pages, "pages", _PAGES),
        chains=tuple(_chain(item) for item in cbor.array(chains, "chains")),
    )
    if not 0 < hello.page <= hello.pages or len(hello.chains) > CHAINS_PER_PAGE:
        raise WireError(Reason.FORM, f"page {hello.page} of {hello.pages} with {len(hello.chains)} chains")
    return hello


def _chain(item: cbor.Value) -> Chain:
    run, stream, first, last, last_seq = cbor.array(item, "chain", 5)
    chain = Chain(
        run=cbor.octets(run, "run", ID_BYTES),
        stream=Stream(cbor.uint(stream, "stream", max(Stream))),
        first=cbor.uint(first, "first n"),
        last=cbor.uint(last, "last n"),
        last_seq=cbor.uint(last_seq, "last seq"),
    )
    if not 0 < chain.first <= chain.last:
        raise WireError(Reason.FORM, f"chain from {chain.first} to {chain.last}")
    return chain
