"""COSE_Sign1 (RFC 9052 section 4) with Ed25519, as every signed thing of the wire uses it.

sign1 = 18([protected, {}, payload, signature]); the signature covers
["Signature1", protected, external_aad, payload] with external_aad = ["gardu1", purpose, city, node],
so a signature made for one purpose, city or node is worth nothing for another.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cbor2

from agent.wire import cbor
from agent.wire.errors import Reason, WireError
from agent.wire.keys import KID_BYTES, Signer, Verifier

Purpose = Literal["batch", "ack", "order", "key"]

_TAG = 18
_EDDSA = -8
_ED25519 = -19  # RFC 9864; written from format version 2 on, accepted now
_SIGNATURE_BYTES = 64

FindKey = Callable[[bytes], Verifier | None]
"""Kid to key, within one city and node; None where unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A payload whose signature holds. ``key`` made it."""

    payload: bytes
    key: Verifier


@functools.cache
def _aad(purpose: str, city: str, node: str) -> bytes:
    return cbor.encode(["gardu1", purpose, city, node])


def _to_be_signed(protected: bytes, aad: bytes, payload: bytes) -> bytes:
    return cbor.encode(["Signature1", protected, aad, payload])


def sign(payload: bytes, *, purpose: Purpose, city: str, node: str, signer: Signer) -> bytes:
    """Return the sign1 bytes of a payload."""
    protected = cbor.encode({1: _EDDSA, 4: signer.kid})
    signature = signer.sign(_to_be_signed(protected, _aad(purpose, city, node), payload))
    return cbor.encode(cbor2.CBORTag(_TAG, [protected, {}, payload, signature]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unverified:
    """The parts of a sign1 before anyone looked at the signature."""

    protected: bytes
    kid: bytes
    payload: bytes
    signature: bytes


def parts(sign1: bytes) -> Unverified:
    """Take a sign1 apart. Raises WireError: form, not_canonical, algorithm."""
    tag = cbor.decode(sign1)
    if not isinstance(tag, cbor2.CBORTag) or tag.tag != _TAG:
        raise WireError(Reason.FORM, "not a COSE_Sign1 (tag 18)")
    protected, unprotected, payload, signature = cbor.array(tag.value, "COSE_Sign1", 4)
    cbor.table(unprotected, "unprotected header", frozenset())
    head = cbor.octets(protected, "protected header")
    heads = cbor.table(cbor.decode(head), "protected header", frozenset({1, 4}))
    if type(heads[1]) is not int or heads[1] not in (_EDDSA, _ED25519):
        raise WireError(Reason.ALGORITHM, f"algorithm {heads[1]!r} is neither -8 nor -19")
    return Unverified(
        protected=head,
        kid=cbor.octets(heads[4], "kid", KID_BYTES),
        payload=cbor.octets(payload, "payload"),
        signature=cbor.octets(signature, "signature", _SIGNATURE_BYTES),
    )


def verify(sign1: bytes, *, purpose: Purpose, city: str, node: str, find_key: FindKey) -> Signed:
    """Return the payload of a sign1 whose signature holds for this purpose, city and node.

    Raises:
        WireError: form, not_canonical, algorithm, kid_unknown, signature.
    """
    found = parts(sign1)
    key = find_key(found.kid)
    if key is None:
        raise WireError(Reason.KID_UNKNOWN, f"no key {found.kid.hex()} is known for {city}/{node}")
    if not key.holds(found.signature, _to_be_signed(found.protected, _aad(purpose, city, node), found.payload)):
        raise WireError(Reason.SIGNATURE, f"the signature is not {found.kid.hex()}'s for a {purpose} of {city}/{node}")
    return Signed(payload=found.payload, key=key)
