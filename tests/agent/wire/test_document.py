"""docs/wire-format.md: its examples are the vectors, its recipes work."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.wire.keys import public_to_pem
from tests.agent.wire.annotate import DOCUMENT, annotate, examples, filled
from tests.agent.wire.craft import NODE_KEY
from tests.agent.wire.make_vectors import by_name

TEXT = DOCUMENT.read_text(encoding="utf-8")


def recipe(name: str) -> str:
    found = re.search(rf"<!-- run: {re.escape(name)} -->\n```\w+\n(.*?)```\n", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_examples_are_the_vectors() -> None:
    assert filled(TEXT, by_name()) == TEXT
    shown = set(examples(TEXT))
    assert shown == {"plain", "hello", "ack", "order", "start_after_crash", "gap", "time", "key", "note", "result"}


def test_the_state_in_the_document_is_the_vector() -> None:
    message = by_name()["state"]["message_hex"]
    assert isinstance(message, str)
    assert bytes.fromhex(message).decode() in TEXT


@pytest.mark.parametrize("name", ["plain", "every_value", "gap", "ack_answer", "order", "hello_page_2"])
def test_an_annotated_example_holds_every_byte(name: str) -> None:
    vector = by_name()[name]
    message = vector["message_hex"]
    assert isinstance(message, str)
    lines = annotate(bytes.fromhex(message), str(vector.get("type", "batch"))).splitlines()
    assert "".join(line.split()[0] for line in lines) == message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    message = by_name()["deflated"]["message_hex"]
    assert isinstance(message, str)
    (tmp_path / "message.cbor").write_bytes(bytes.fromhex(message))
    (tmp_path / "node.pub.pem").write_text(public_to_pem(NODE_KEY.public))
    for name in ("take_apart.py", "verify.sh"):
        (tmp_path / name).write_text(recipe(name))
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return tmp_path


def follow(folder: Path) -> subprocess.CompletedProcess[str]:
    assert shutil.which("openssl") is not None, "openssl is missing: apt install openssl"
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", "-e", "verify.sh"], cwd=folder, env=environment, check=False, capture_output=True, text=True
    )


def test_the_recipe_proves_a_message_with_openssl(folder: Path) -> None:
    done = follow(folder)
    assert done.returncode == 0, done.stderr
    assert "Signature Verified Successfully" in done.stdout
    assert "60 readings" in done.stdout


def test_the_recipe_refuses_a_changed_header(folder: Path) -> None:
    message = bytearray((folder / "message.cbor").read_bytes())
    at = message.find(bytes.fromhex("0408055820"))  # n = 8
    message[at + 1] = 9
    (folder / "message.cbor").write_bytes(message)
    assert follow(folder).returncode != 0


def test_the_recipe_refuses_a_changed_body(folder: Path) -> None:
    message = bytearray((folder / "message.cbor").read_bytes())
    message[-1] ^= 1
    (folder / "message.cbor").write_bytes(message)
    assert "another body" in follow(folder).stderr
