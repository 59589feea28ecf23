import shutil
from pathlib import Path

import pytest

from agent.errors import KeyFileError
from agent.identity import load, tls_context
from agent.wire.keys import Signer, private_to_pem, public_to_pem
from tests.agent.conftest import Authority

CURE = "put the folder that the center handed out"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    authority = Authority(tmp_path / "keys", "city")
    authority.issue("dago-01", "tls.crt", "tls.key")
    (authority.folder / "signing.pem").write_text(private_to_pem(b"n" * 32))
    (authority.folder / "center.pem").write_text(public_to_pem(Signer(b"c" * 32).public))
    return authority.folder


def test_a_whole_folder_makes_an_identity(keys: Path) -> None:
    found = load(keys)
    assert found.signer.public == Signer(b"n" * 32).public
    assert [one.public for one in found.center] == [Signer(b"c" * 32).public]
    assert tls_context(keys, lambda: (0, None)).check_hostname


SIGNING = ("signing.pem", "center.pem")
TLS = ("ca.crt", "tls.crt", "tls.key")


def complaint(keys: Path, name: str) -> str:
    with pytest.raises(KeyFileError) as found:
        load(keys) if name in SIGNING else tls_context(keys, lambda: (0, None))
    return str(found.value)


@pytest.mark.parametrize("name", [*SIGNING, *TLS])
def test_a_missing_file_is_named_with_its_cure(keys: Path, name: str) -> None:
    (keys / name).unlink()
    text = complaint(keys, name)
    assert text.startswith(f"{keys / name}: ")
    assert "is missing" in text
    assert CURE in text


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe\x00", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
@pytest.mark.parametrize("name", [*SIGNING, *TLS])
def test_a_file_that_holds_something_else_is_named_with_its_cure(keys: Path, name: str, content: bytes) -> None:
    (keys / name).write_bytes(content)
    text = complaint(keys, name)
    assert str(keys / name) in text
    assert CURE in text


def test_the_keys_of_another_kind_are_named(keys: Path) -> None:
    shutil.copy(keys / "tls.key", keys / "signing.pem")
    assert "signing.pem: not a private Ed25519 key" in complaint(keys, "signing.pem")
    (keys / "signing.pem").write_text(private_to_pem(b"n" * 32))
    shutil.copy(keys / "signing.pem", keys / "center.pem")
    assert "center.pem: not a public Ed25519 key" in complaint(keys, "center.pem")


def test_a_key_that_belongs_to_another_certificate_is_named(keys: Path, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "city")
    other.issue("dago-02", "tls.crt", "tls.key")
    shutil.copy(other.folder / "tls.key", keys / "tls.key")
    text = complaint(keys, "tls.key")
    assert "tls.crt" in text
    assert "tls.key" in text


@pytest.mark.parametrize("name", ["signing.pem", "tls.key"])
def test_a_folder_instead_of_a_file_is_told_with_its_cure(keys: Path, name: str) -> None:
    (keys / name).unlink()
    (keys / name).mkdir()
    assert "cannot be read: Is a directory" in complaint(keys, name)
