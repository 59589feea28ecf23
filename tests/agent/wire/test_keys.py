import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.wire import topics
from agent.wire.keys import (
    KeyTextError,
    Signer,
    Verifier,
    kid_of,
    private_from_pem,
    private_to_pem,
    public_from_pem,
    public_to_pem,
)
from tests.agent.wire.craft import NODE_KEY

# RFC 8032, section 7.1, test 2
SECRET = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_a_signer_signs_as_the_standard_says() -> None:
    signer = Signer(SECRET)
    assert signer.public == PUBLIC
    assert signer.sign(b"\x72") == SIGNATURE
    assert signer.kid == kid_of(PUBLIC) == Verifier(PUBLIC).kid


def test_a_verifier_accepts_this_signature_and_no_other() -> None:
    assert Verifier(PUBLIC).holds(SIGNATURE, b"\x72")
    assert not Verifier(PUBLIC).holds(SIGNATURE, b"\x73")
    assert not Verifier(NODE_KEY.public).holds(SIGNATURE, b"\x72")
    assert not Verifier(b"short").holds(SIGNATURE, b"\x72")


def test_our_pem_is_the_one_the_library_writes_and_reads() -> None:
    key = Ed25519PrivateKey.from_private_bytes(SECRET)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    assert (private_to_pem(SECRET), public_to_pem(PUBLIC)) == (private, public)
    assert (private_from_pem(private), public_from_pem(public)) == (SECRET, PUBLIC)


def test_keys_made_by_openssl_are_read(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    assert openssl is not None, "openssl is missing: apt install openssl"
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    subprocess.run([openssl, "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run([openssl, "pkey", "-in", private, "-pubout", "-out", public], check=True)
    assert Signer(private_from_pem(private.read_text())).public == public_from_pem(public.read_text())


def _pem(der: bytes) -> str:
    return f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(der).decode()}\n-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "there is no"),
        ("-----END PUBLIC KEY----- -----BEGIN PUBLIC KEY-----", "there is no"),
        ("-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----", "not base64"),
        ("-----BEGIN PUBLIC KEY-----\né\n-----END PUBLIC KEY-----", "not base64"),
        (_pem(b"\x30" * 44), "not an Ed25519 key"),
        (_pem(bytes.fromhex("302a300506032b6570032100") + bytes(31)), "not an Ed25519 key"),
        (_pem(bytes.fromhex("302a300506032b656e032100") + bytes(32)), "not an Ed25519 key"),  # X25519
    ],
)
def test_what_is_no_key_is_refused_with_a_reason(text: str, why: str) -> None:
    with pytest.raises(KeyTextError, match=why):
        public_from_pem(text)


def test_topics_of_a_node_name_their_sender() -> None:
    assert topics.sender(topics.up("bandung", "dago-01", "live")) == ("bandung", "dago-01", "up/live")
    assert topics.sender(topics.hello("bandung", "dago-01")) == ("bandung", "dago-01", "up/hello")
    assert topics.sender(topics.state("bandung", "dago-01")) == ("bandung", "dago-01", "state")


@pytest.mark.parametrize(
    "topic",
    [
        topics.ack("bandung", "dago-01"),
        topics.order("bandung", "dago-01"),
        "gardu/v1/bandung/dago-01/up/else",
        "gardu/v1/bandung/dago-01/up/live/x",
        "gardu/v1/Bandung/dago-01/up/live",
        "gardu/v1/bandung/dago-01/up/live\n",
        "x/gardu/v1/bandung/dago-01/up/live",
        "",
    ],
)
def test_any_other_topic_has_no_sender(topic: str) -> None:
    assert topics.sender(topic) is None


def test_a_center_listens_to_its_own_city_only() -> None:
    assert topics.center_filters("bandung") == ("gardu/v1/bandung/+/up/#", "gardu/v1/bandung/+/state")
