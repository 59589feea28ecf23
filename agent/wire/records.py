"""Bodies of the rarer records (key, note, result of an order), the retained state, and the one reader of all bodies."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from agent.wire import cbor, cose
from agent.wire.batch import ID_BYTES, Batch, Kind, record
from agent.wire.bodies import (
    Gap,
    Json,
    Start,
    Time,
    decode_gap,
    decode_start,
    decode_time,
    encode_body,
)
from agent.wire.errors import Reason, WireError
from agent.wire.keys import KEY_BYTES, Signer, Verifier

STATE_BYTES = 4096
_STATE_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """Body of kind 4: the next run signs with another key.

    Attributes:
        old: Raw public key that signs this record.
        new: Raw public key from the next run on.
        proof: COSE_Sign1 by the new key, purpose ``key``, over [old, new]: whoever asks for it holds it.
    """

    old: bytes
    new: bytes
    proof: bytes

    def encode(self) -> bytes:
        """Return the JSON body."""
        return encode_body({"old": self.old.hex(), "new": self.new.hex(), "proof": self.proof.hex()})


class Work(StrEnum):
    """What a person did at the box."""

    SWAP = "swap"
    CLEAN = "clean"
    CALIBRATE = "calibrate"
    MOVE = "move"
    VISIT = "visit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Body of kind 5: what a person did.

    Attributes:
        work: What it was.
        by: Who.
        sensor: At which; None when it was the whole box.
        text: In their words.
        id: 16 bytes that name the note: two records with one id are the same note. None from who gives no id.
        at_utc_ms: The box's own clock when it was said, where that was long before it was signed; a hint.
    """

    work: Work
    by: str
    sensor: str | None
    text: str
    id: bytes | None = None
    at_utc_ms: int | None = None

    def encode(self) -> bytes:
        """Return the JSON body."""
        body: dict[str, Json] = {"work": self.work.value, "by": self.by, "sensor": self.sensor, "text": self.text}
        if self.id is not None:
            body["id"] = self.id.hex()
        if self.at_utc_ms is not None:
            body["at"] = self.at_utc_ms
        return encode_body(body)


class Outcome(StrEnum):
    """How an order ended."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Body of kind 6: what became of an order.

    Attributes:
        id: Of the order.
        order: Its name.
        outcome: How it ended.
        attempted: What was to run (a config hash, a release) where the order was about that.
        running: What runs now.
        reason: Why, for people.
    """

    id: bytes
    order: str
    outcome: Outcome
    attempted: str | None = None
    running: str | None = None
    reason: str = ""

    def encode(self) -> bytes:
        """Return the JSON body."""
        return encode_body(
            {
                "id": self.id.hex(),
                "order": self.order,
                "outcome": self.outcome.value,
                "attempted": self.attempted,
                "running": self.running,
                "reason": self.reason,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The retained ``state`` message, also the will. Unsigned: a hint for people, proof of nothing.

    Attributes:
        online: False in the will, and in the farewell.
        run: 16 bytes.
        version: Of the agent.
        since_boot_ms: CLOCK_BOOTTIME of the start of the run, ms.
    """

    online: bool
    run: bytes
    version: str
    since_boot_ms: int

    def encode(self) -> bytes:
        """Return the JSON payload."""
        return encode_body(
            {
                "v": _STATE_VERSION,
                "online": self.online,
                "run": self.run.hex(),
                "version": self.version,
                "since_boot_ms": self.since_boot_ms,
            }
        )


def decode_state(payload: bytes) -> State:
    """Read a state. Raises WireError: size, version, body."""
    if len(payload) > STATE_BYTES:
        raise WireError(Reason.SIZE, f"a state of {len(payload)} bytes; at most {STATE_BYTES}")
    body = record(payload)
    if body.get("v") != _STATE_VERSION or body["v"] is True:
        raise WireError(Reason.VERSION, f"a state of format {body.get('v')!r} is not known here")
    online, since = body.get("online"), body.get("since_boot_ms")
    if not isinstance(online, bool):
        raise WireError(Reason.BODY, f"online is {online!r}")
    if type(since) is not int or not 0 <= since <= cbor.UINT_MAX:
        raise WireError(Reason.BODY, f"since_boot_ms is {since!r}")
    return State(online=online, run=_octets(body, "run", ID_BYTES), version=_text(body, "version"), since_boot_ms=since)


def change_key(new: Signer, *, old: bytes, city: str, node: str) -> KeyChange:
    """Return the body that hands a node over from one key to a new one.

    Args:
        new: The new key.
        old: Raw public half of the key in use.
        city: Tenant.
        node: The box.
    """
    payload = cbor.encode([old, new.public])
    proof = cose.sign(payload, purpose="key", city=city, node=node, signer=new)
    return KeyChange(old=old, new=new.public, proof=proof)


def decode_key(plain: bytes, *, city: str, node: str) -> KeyChange:
    """Read a key body and check the new key's proof. Raises WireError: body, and what the proof's signature raises."""
    body = record(plain)
    change = KeyChange(
        old=_octets(body, "old", KEY_BYTES), new=_octets(body, "new", KEY_BYTES), proof=_octets(body, "proof")
    )
    keys = {key.kid: key for key in [Verifier(change.new)]}
    proven = cose.verify(change.proof, purpose="key", city=city, node=node, find_key=keys.get)
    if proven.payload != cbor.encode([change.old, change.new]):
        raise WireError(Reason.BODY, "the proof is about another change")
    return change


def decode_note(plain: bytes) -> Note:
    """Read a note body. Raises WireError: body."""
    body = record(plain)
    work = _text(body, "work")
    if work not in set(Work):
        raise WireError(Reason.BODY, f"{work!r} is no work that a note tells")
    at_utc_ms = body.get("at")
    if at_utc_ms is not None and (type(at_utc_ms) is not int or not 0 <= at_utc_ms <= cbor.UINT_MAX):
        raise WireError(Reason.BODY, f"at is {at_utc_ms!r}")
    return Note(
        work=Work(work),
        by=_text(body, "by"),
        sensor=_maybe(body, "sensor"),
        text=_text(body, "text"),
        id=None if body.get("id") is None else _octets(body, "id", ID_BYTES),
        at_utc_ms=at_utc_ms,
    )


def decode_result(plain: bytes) -> Result:
    """Read a result body. Raises WireError: body."""
    body = record(plain)
    outcome = _text(body, "outcome")
    if outcome not in set(Outcome):
        raise WireError(Reason.BODY, f"{outcome!r} is no outcome")
    return Result(
        id=_octets(body, "id", ID_BYTES),
        order=_text(body, "order"),
        outcome=Outcome(outcome),
        attempted=_maybe(body, "attempted"),
        running=_maybe(body, "running"),
        reason=_text(body, "reason"),
    )


Body = Start | Gap | Time | KeyChange | Note | Result

_READERS: dict[Kind, Callable[[bytes], Body]] = {
    Kind.START: decode_start,
    Kind.GAP: decode_gap,
    Kind.TIME: decode_time,
    Kind.NOTE: decode_note,
    Kind.RESULT: decode_result,
}


def body_of(batch: Batch) -> Body | None:
    """Return what a record says; None for readings, whose rows the batch has.

    Raises:
        WireError: body, when it lacks the fields of its kind; for a key what the proof's signature raises.
    """
    header = batch.header
    if header.kind is Kind.KEY:
        change = decode_key(batch.plain, city=header.city, node=header.node)
        if change.old != batch.key.public:
            raise WireError(Reason.BODY, "the old key is not the one that signed")
        return change
    reader = _READERS.get(header.kind)
    return None if reader is None else reader(batch.plain)


def _text(body: dict[str, object], name: str) -> str:
    value = body.get(name)
    if isinstance(value, str):
        return value
    raise WireError(Reason.BODY, f"{name} is {value!r}, not a text")


def _maybe(body: dict[str, object], name: str) -> str | None:
    return None if body.get(name) is None else _text(body, name)


def _octets(body: dict[str, object], name: str, length: int | None = None) -> bytes:
    value = _text(body, name)
    try:
        found = bytes.fromhex(value)
    except ValueError as error:
        raise WireError(Reason.BODY, f"{name} is {value!r}, not hex") from error
    if found.hex() != value or length not in (None, len(found)):
        raise WireError(Reason.BODY, f"{name} is {value!r}, not {length or 'some'} bytes of lower-case hex")
    return found
