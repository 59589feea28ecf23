"""What one MQTT message is worth: topic and payload to a verdict. Pure: no store, no clock.

The checks are those of ``agent.wire.batch.open_batch`` in its order, with the keys of the node that the topic names
and of no other. A message is answered as refused for good only when it is provably that node's own: its signature
and its digest hold, and only then something is wrong. Anything else may be the broker's doing, so answering it would
let the broker throw away good batches.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.wire import cose, topics
from agent.wire.ack import Refused
from agent.wire.batch import Batch, decode_header, digest_of, hash_of, open_batch, peek, split
from agent.wire.errors import Reason, WireError
from agent.wire.hello import Hello, decode_hello
from agent.wire.keys import Verifier
from agent.wire.records import Body, body_of
from agent.wire.senml import load_json

Box = tuple[str, str]
"""City and node."""

Keys = Mapping[Box, Mapping[bytes, Verifier]]
"""The public keys of each node by kid."""

TOPIC = "topic"
"""Reason of a message on a topic that no node writes."""

STATE = "state"
"""Reason of a state that is no small JSON object."""

_STATE_BYTES = 4096
_PAGES = 256  # 32 768 chains; more is no node's hello


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """A batch that passed every check but the chain; ``body`` is what a record says."""

    box: Box
    batch: Batch
    hash: bytes
    body: Body | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """One page of a hello."""

    box: Box
    page: Hello


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a node says of itself in its retained state; unsigned, a hint."""

    box: Box
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A refused message. ``box`` is the topic's node, ``answer`` what its ack may say."""

    box: Box | None
    reason: str
    detail: str
    answer: Refused | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A batch under a key that is not known yet."""

    box: Box
    kid: bytes


Verdict = Good | Greeting | Condition | Bad | Waiting


def examine(topic: str, payload: bytes, *, city: str, keys: Keys) -> Verdict:
    """Judge one message; every input has a verdict."""
    sender = topics.sender(topic)
    if sender is None or sender[0] != city:
        return Bad(box=None, reason=TOPIC, detail="no node of this city writes there")
    box = (sender[0], sender[1])
    try:
        if sender[2] == "up/hello":
            return _greeting(box, payload)
        if sender[2] == "state":
            return _condition(box, payload)
        return _batch(box, payload, keys.get(box, {}))
    except WireError as error:
        return Bad(box=box, reason=error.reason, detail=error.detail)


def _greeting(box: Box, payload: bytes) -> Greeting:
    page = decode_hello(payload)
    if page.pages > _PAGES:
        raise WireError(Reason.SIZE, f"a hello of {page.pages} pages; at most {_PAGES}")
    return Greeting(box=box, page=page)


def _condition(box: Box, payload: bytes) -> Condition | Bad:
    if len(payload) > _STATE_BYTES or (payload and not isinstance(load_json(payload), dict)):
        return Bad(box=box, reason=STATE, detail="not a small JSON object")
    return Condition(box=box, text=payload.decode())


def _batch(box: Box, payload: bytes, keys: Mapping[bytes, Verifier]) -> Good | Bad | Waiting:
    city, node = box
    try:
        batch = open_batch(payload, city=city, node=node, find_key=keys.get)
    except WireError as error:
        if error.reason is Reason.KID_UNKNOWN:
            return _stranger(box, payload)
        answer = _answer(box, payload, keys, error.reason)
        return Bad(box=box, reason=error.reason, detail=error.detail, answer=answer)
    try:
        body = body_of(batch)
    except WireError as error:
        answer = _answer(box, payload, keys, Reason.BODY)
        return Bad(box=box, reason=Reason.BODY, detail=error.detail, answer=answer)
    return Good(box=box, batch=batch, hash=batch.hash, body=body)


def _stranger(box: Box, payload: bytes) -> Bad | Waiting:
    sign1, _ = split(payload)
    header = peek(payload)
    if (header.city, header.node) != box:
        detail = f"the header says {header.city}/{header.node}, the topic {box[0]}/{box[1]}"
        return Bad(box=box, reason=Reason.NODE, detail=detail)
    return Waiting(box=box, kid=cose.parts(sign1).kid)


def _answer(box: Box, payload: bytes, keys: Mapping[bytes, Verifier], reason: str) -> Refused | None:
    """Name the batch when signature, node and digest hold, so that only its author can have made it wrong."""
    try:
        sign1, body = split(payload)
        signed = cose.verify(sign1, purpose="batch", city=box[0], node=box[1], find_key=keys.get)
        header = decode_header(signed.payload)
    except WireError:
        return None
    if (header.city, header.node) != box or digest_of(body) != header.digest:
        return None
    return Refused(run=header.run, stream=header.stream, n=header.n, hash=hash_of(sign1), reason=reason)
