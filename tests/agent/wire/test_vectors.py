import json

import pytest
from _pytest.mark import ParameterSet

from agent.wire import senml
from agent.wire.ack import Ack, open_ack
from agent.wire.batch import Batch, Kind, Stream, open_batch, seal, split
from agent.wire.bodies import Json
from agent.wire.chain import Ledger
from agent.wire.errors import WireError
from agent.wire.hello import Hello, decode_hello
from agent.wire.keys import Verifier
from agent.wire.order import Order, open_order
from agent.wire.records import State, body_of, decode_state
from tests.agent.wire.craft import CITY, NODE, NODE_KEY
from tests.agent.wire.good_batches import Vector, header_json, row_json
from tests.agent.wire.make_vectors import FOLDER, all_files, text_of


def load(name: str) -> list[Vector]:
    found: list[Vector] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return found


def each(*names: str) -> list[ParameterSet]:
    return [pytest.param(vector, id=str(vector["name"])) for name in names for vector in load(name)]


def text(value: Json) -> str:
    assert isinstance(value, str)
    return value


def payload(vector: Vector) -> bytes:
    repeat = vector.get("repeat", 1)
    assert isinstance(repeat, int)
    return bytes.fromhex(text(vector["message_hex"])) * repeat


def opened(vector: Vector, message: bytes) -> Batch:
    key = Verifier(bytes.fromhex(text(vector["public_key_hex"])))
    return open_batch(message, city=text(vector["city"]), node=text(vector["node"]), find_key={key.kid: key}.get)


def read(vector: Vector) -> Batch | Ack | Order | Hello | State:
    """Read a payload as whoever receives it does."""
    city, node, message = text(vector["city"]), text(vector["node"]), payload(vector)
    kind = vector.get("type", "batch")
    if kind == "hello":
        return decode_hello(message)
    if kind == "state":
        return decode_state(message)
    if kind == "batch":
        batch = opened(vector, message)
        body_of(batch)
        return batch
    keys = [Verifier(bytes.fromhex(text(vector["public_key_hex"])))]
    if kind == "ack":
        return open_ack(message, city=city, node=node, center=keys)
    assert kind == "order"
    return open_order(message, city=city, node=node, center=keys)


@pytest.mark.parametrize("name", sorted(all_files()))
def test_the_committed_vectors_are_those_the_program_makes(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == text_of(all_files()[name])


@pytest.mark.parametrize("vector", each("refused.json"))
def test_a_bad_message_is_refused_for_its_reason(vector: Vector) -> None:
    with pytest.raises(WireError) as caught:
        read(vector)
    assert caught.value.reason.value == vector["refused"]
    assert str(caught.value) == f"{caught.value.reason}: {caught.value.detail}"


def test_there_are_enough_bad_messages_and_no_name_stands_twice() -> None:
    names = [vector["name"] for vector in load("refused.json")]
    assert len(names) == len(set(names)) >= 30


@pytest.mark.parametrize("vector", each("readings.json", "records.json"))
def test_a_good_batch_is_read_as_the_vector_says(vector: Vector) -> None:
    batch = read(vector)
    assert isinstance(batch, Batch)
    found: dict[str, Json] = {"hash": batch.hash.hex(), "header": header_json(batch.header)}
    if batch.header.kind is Kind.READINGS:
        found["rows"] = [row_json(row) for row in batch.rows]
    else:
        found["body"] = json.loads(batch.plain)
    assert found == vector["expect"]


@pytest.mark.parametrize("vector", each("readings.json", "records.json"))
def test_sealing_what_was_read_gives_the_same_bytes(vector: Vector) -> None:
    batch = read(vector)
    assert isinstance(batch, Batch)
    if vector["name"] == "algorithm_ed25519":
        return  # read, never written
    _, body = split(batch.message)
    assert seal(batch.header, body, NODE_KEY) == (batch.message, batch.hash)


@pytest.mark.parametrize("vector", each("records.json"))
def test_a_record_written_again_is_the_same_json(vector: Vector) -> None:
    batch = read(vector)
    assert isinstance(batch, Batch)
    body = body_of(batch)
    assert body is not None
    assert body.encode() == batch.plain


@pytest.mark.parametrize("vector", each("readings.json"))
def test_rows_written_again_are_the_same_pack(vector: Vector) -> None:
    batch = read(vector)
    assert isinstance(batch, Batch)
    header = batch.header
    again = senml.pack(batch.rows, node=f"{CITY}/{NODE}", at_boot_ms=header.at_boot_ms, at_utc_ms=header.at_utc_ms)
    assert again == batch.plain


@pytest.mark.parametrize("vector", each("center.json", "unsigned.json"))
def test_other_messages_are_read_as_the_vector_says(vector: Vector) -> None:
    assert _as_json(read(vector)) == vector["expect"]


def _as_json(found: Batch | Ack | Order | Hello | State) -> Json:
    match found:
        case Ack():
            return {
                "nonce": found.nonce.hex(),
                "settled": [
                    [
                        s.run.hex(),
                        s.stream.value,
                        s.n,
                        s.hash.hex(),
                        [[r.first, r.last, r.hash.hex()] for r in s.ranges],
                    ]
                    for s in found.settled
                ],
                "center_utc_ms": found.center_utc_ms,
                "window_bytes": found.window_bytes,
                "rate_bytes_per_s": found.rate_bytes_per_s,
                "refused": [[r.run.hex(), r.stream.value, r.n, r.hash.hex(), r.reason] for r in found.refused],
                "answers_hello": found.answers_hello,
            }
        case Order():
            return {
                "nonce": found.nonce.hex(),
                "id": found.id.hex(),
                "expires_s": found.expires_s,
                "name": found.name,
                "arguments": dict(found.arguments),
            }
        case Hello():
            return {
                "nonce": found.nonce.hex(),
                "run": found.run.hex(),
                "boot": found.boot.hex(),
                "page": found.page,
                "pages": found.pages,
                "chains": [[c.run.hex(), c.stream.value, c.first, c.last, c.last_seq] for c in found.chains],
            }
        case State():
            again: Json = json.loads(found.encode())
            return again
        case Batch():
            raise AssertionError


@pytest.mark.parametrize("vector", each("chains.json"))
def test_messages_that_belong_together_are_judged_as_the_vector_says(vector: Vector) -> None:
    messages = vector["messages_hex"]
    assert isinstance(messages, list)
    ledger = Ledger()
    for message in messages:
        ledger.add_batch(opened(vector, bytes.fromhex(text(message))))
    found = {(report.run.hex(), report.stream.value): report for report in ledger.report()}
    expected = vector["expect"]
    assert isinstance(expected, list)
    for line in expected:
        assert isinstance(line, dict)
        report = found.pop((text(line["run"]), 1))
        spans = ("stored", "in_gaps", "missing", "settled", "gap_rows", "missing_rows")
        assert {name: [list(span) for span in getattr(report, name)] for name in spans} == {
            name: line.get(name, []) for name in spans
        }
        assert [[finding.n, finding.fault.value] for finding in report.findings] == line["findings"]
        assert (report.taken, report.clean) == (line["taken"], line.get("clean"))
        assert line.get("predecessor") == (None if report.predecessor is None else report.predecessor.hex())
    assert all(report.stream is Stream.ALARM and report.taken == 0 for report in found.values())
