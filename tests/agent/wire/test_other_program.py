"""Our bytes, verified by a program that shares no code with us: tests/node/verify.mjs on Node.js."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.wire.bodies import Json
from tests.agent.wire.craft import CITY, NODE, NODE_KEY, ROWS, RUN_A, RUN_B, Chain, rows
from tests.agent.wire.good_batches import Vector
from tests.agent.wire.make_vectors import FOLDER

PROGRAM = Path(__file__).parents[2] / "node" / "verify.mjs"
OLDEST = 18
INSTALL = "Node.js 18 or newer is needed to verify our bytes with other code than ours: apt install nodejs"

Job = dict[str, Json]


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node") or shutil.which("nodejs")
    assert found is not None, INSTALL
    version = subprocess.run([found, "--version"], check=True, capture_output=True, text=True).stdout
    assert int(version.lstrip("v").partition(".")[0]) >= OLDEST, f"{INSTALL} (here is {version.strip()})"
    return found


def ask(node: str, jobs: list[Job]) -> list[dict[str, Json]]:
    lines = "".join(json.dumps(job) + "\n" for job in jobs)
    done = subprocess.run([node, str(PROGRAM)], input=lines, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def load(name: str) -> list[Vector]:
    found: list[Vector] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return found


def job(vector: Vector) -> Job:
    repeat, message = vector.get("repeat", 1), vector.get("message_hex", "")
    assert isinstance(repeat, int)
    assert isinstance(message, str)
    messages = vector.get("messages_hex", [message * repeat])
    return {**{key: vector[key] for key in ("city", "node", "public_key_hex")}, "messages_hex": messages}


def test_the_committed_batches_hold_elsewhere_too(node: str) -> None:
    vectors = load("readings.json") + load("records.json")
    for vector, answer in zip(vectors, ask(node, [job(vector) for vector in vectors]), strict=True):
        expect = vector["expect"]
        assert isinstance(expect, dict)
        rows_here = expect.get("rows", [])
        assert isinstance(rows_here, list)
        assert answer == {"ok": True, "rows": len(rows_here), "hash": expect["hash"]}, vector["name"]


def test_the_committed_chains_are_judged_alike(node: str) -> None:
    vectors = load("chains.json")
    answers = ask(node, [job(vector) for vector in vectors])
    found = {str(vector["name"]): answer["ok"] for vector, answer in zip(vectors, answers, strict=True)}
    broken = {"hole", "wrong_link"}
    assert found == {name: name not in broken for name in found}
    assert broken < set(found)
    assert [answer["reason"] for answer in answers if not answer["ok"]] == ["chain", "chain"]


def test_bad_messages_are_refused_elsewhere_for_the_same_reason(node: str) -> None:
    bodies = {"key_proof_stranger"}
    vectors = [
        vector
        for vector in load("refused.json")
        if vector["type"] == "batch" and vector["refused"] != "body" and vector["name"] not in bodies
    ]
    assert len(vectors) > 60
    answers = ask(node, [job(vector) for vector in vectors])
    differ = {
        str(vector["name"]): (vector["refused"], answer.get("reason"))
        for vector, answer in zip(vectors, answers, strict=True)
        if answer["ok"] or answer["reason"] != vector["refused"]
    }
    assert differ == {}


def test_fresh_messages_hold_elsewhere_and_no_single_bit_may_flip(node: str) -> None:
    telemetry, other = Chain(run=RUN_A), Chain(run=RUN_B)
    messages = [telemetry.start(), telemetry.readings(rows(40)), other.start(), telemetry.readings(ROWS, squeeze=False)]
    keys: Job = {"city": CITY, "node": NODE, "public_key_hex": NODE_KEY.public.hex()}
    good: Job = {**keys, "messages_hex": [message.hex() for message in messages]}
    jobs = [good]
    for bit in range(len(messages[3]) * 8):
        flipped = bytearray(messages[3])
        flipped[bit // 8] ^= 1 << bit % 8
        jobs.append({**keys, "messages_hex": [flipped.hex()]})
    first, *rest = ask(node, jobs)
    assert first == {"ok": True, "rows": 43, "hash": telemetry.end.hash.hex()}
    assert not any(answer["ok"] for answer in rest)
