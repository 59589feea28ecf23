"""Messages that must be refused, each with the reason and what is wrong with it."""

import zlib
from collections.abc import Iterator

import cbor2

from agent.wire import batch
from agent.wire.batch import Kind, Stream
from agent.wire.bodies import encode_body
from agent.wire.records import change_key
from tests.agent.wire import craft
from tests.agent.wire.craft import (
    AT_BOOT_MS,
    CITY,
    EDDSA,
    NEW_KEY,
    NODE,
    NODE_KEY,
    OTHER_KEY,
    RUN_A,
    STRANGER,
    fields,
    message,
    pack,
    raw,
    sign1,
)

Refusal = tuple[str, str, str, bytes]
"""Name, reason, what is wrong, payload."""

_BN = f'"bn":"{CITY}/{NODE}/air/pm2_5","bu":"ug/m3"'
_BT = '"bt":1795000000.25'
_ROW = '[{%s,%s,"v":1}%s]'


def _row(rest: str = "", head: str = _BT, base: str = _BN) -> str:
    return _ROW % (head, base, rest)


def _header(**changes: object) -> bytes:
    return message(changes=changes)


def _raw_header(header: bytes) -> bytes:
    return message(signed=sign1(header))


def _record(kind: Kind, stream: Stream, plain: bytes) -> bytes:
    return message(plain, changes={"kind": int(kind), "stream": int(stream)})


def _squeezed(plain: bytes, *, wbits: int = -15) -> bytes:
    squeezer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return squeezer.compress(plain) + squeezer.flush()


def batches() -> Iterator[Refusal]:
    """Yield the refused batches, judged with the node's key."""
    yield from _forms()
    yield from _headers()
    yield from _signatures()
    yield from _bodies()
    yield from _packs()


def _forms() -> Iterator[Refusal]:
    fine = message()
    yield "empty", "form", "no byte at all", b""
    yield "oversize", "size", "one byte more than 256 KiB", bytes(batch.MESSAGE_BYTES + 1)
    yield "trailing_byte", "not_canonical", "a byte after the message", fine + b"\x00"
    yield "cut_short", "form", "the last byte is missing", fine[:-1]
    yield "version_not_shortest", "not_canonical", "the version 1 written in two bytes", b"\x83\x18\x01" + fine[2:]
    yield "indefinite_array", "form", "an array of indefinite length", b"\x9f" + fine[1:] + b"\xff"
    yield "indefinite_body", "form", "a byte string in pieces", fine[:-3] + b"\x5f\x42[]\xff"
    yield "four_items", "form", "an array of four", b"\x84" + fine[1:] + b"\x00"
    yield "version_two", "version", "a format that is not known yet", message(version=2)
    yield "version_true", "form", "true in the place of 1", message(version=True)
    yield "sign1_text", "form", "sign1 as text", raw([1, "sign1", b"[]"])
    yield "tagged_message", "form", "a tag around the message", raw(cbor2.CBORTag(55800, cbor2.loads(fine)))
    yield "bignum_version", "form", "the version as a bignum", b"\x83\xc2\x41\x01" + fine[2:]


def _headers() -> Iterator[Refusal]:
    good = raw(fields(digest=batch.digest_of(b"[]")))
    yield (
        "n_not_shortest",
        "not_canonical",
        "n = 2 in two bytes",
        _raw_header(good.replace(b"\x04\x02", b"\x04\x18\x02", 1)),
    )
    yield "key_twice", "form", "key 1 twice", _raw_header(b"\xae\x01\x00" + good[1:])
    yield "keys_out_of_order", "not_canonical", "key 13 first", _raw_header(b"\xad" + good[-35:] + good[1:-35])
    yield "header_trailing_byte", "not_canonical", "a byte after the header", _raw_header(good + b"\x00")
    yield "header_array", "form", "an array in the place of the header's map", _raw_header(raw(list(range(13))))
    yield (
        "header_text_key",
        "form",
        "a key that is a text",
        _raw_header(raw({"x": 1, **{str(key): key for key in fields()}})),
    )
    yield "n_float", "form", "n = 2.0", _header(n=2.0)
    yield "n_bool", "form", "n = true", _header(n=True)
    yield "kind_bool", "form", "kind = false", _header(kind=False)
    yield "n_zero", "form", "n counts from 1", _header(n=0)
    yield "n_too_large", "form", "n = 2^53", _header(n=2**53)
    yield "n_negative", "form", "n = -1", _header(n=-1)
    yield "seq_zero", "form", "seq counts from 1", _header(seq0=0)
    yield "seq_too_large", "form", "the last seq is beyond 2^53", _header(seq0=2**53 - 1, count=3)
    yield "field_missing", "form", "no digest", _raw_header(raw(fields(digest=...)))
    yield "field_unknown", "form", "a field 15", _raw_header(raw({**fields(), 15: 0}))
    start = {"kind": 1, "n": 1, "prev": batch.NO_HASH}
    yield "prev_at_one", "form", "a prev at n = 1", _header(**{**start, "prev": b"\x11" * 32})
    yield "no_prev", "form", "no prev at n = 2", _header(prev=batch.NO_HASH)
    yield "no_start", "form", "a chain that begins with readings", _header(**{**start, "kind": 0})
    yield "second_start", "form", "a start record at n = 2", _header(kind=1)
    yield "time_in_alarm", "form", "a time record in the alarm stream", _header(kind=3, stream=0)
    yield "note_in_telemetry", "form", "a note in the telemetry stream", _header(kind=5)
    yield "kind_unknown", "form", "kind 7", _header(kind=7)
    yield "stream_unknown", "form", "stream 2", _header(stream=2)
    yield "clock_unknown", "form", "clock 3", _header(clock=3)
    yield "clock_without_mapping", "form", "clock 0 and no UTC", _header(moment=[AT_BOOT_MS, None])
    yield "mapping_without_clock", "form", "UTC and clock 2, which says that none is known", _header(clock=2)
    yield "moment_of_three", "form", "three values for the moment", _header(moment=[1, 2, 3])
    unknown = {"moment": [AT_BOOT_MS, None], "clock": 2}
    yield "origin_believed", "form", "rows taken over with a believed time", _header(origin=craft.RUN_B)
    yield (
        "origin_stepped",
        "form",
        "rows taken over and a clock step",
        _header(origin=craft.RUN_B, **unknown | {"clock": 6}),
    )
    yield "origin_of_record", "form", "a time record taken over", _header(kind=3, origin=craft.RUN_B, **unknown)
    yield "count_of_record", "form", "a time record that counts readings", _header(kind=3, count=1)
    yield "coding_unknown", "form", "coding 2", _header(coding=2)
    yield "node_without_city", "form", "a node alone", _header(node=NODE)
    yield "node_upper_case", "form", "a name in capitals", _header(node=f"{CITY}/{NODE.upper()}")
    yield "run_short", "form", "a run of 15 bytes", _header(run=RUN_A[:15])


def _signatures() -> Iterator[Refusal]:
    header = raw(fields(digest=batch.digest_of(b"[]")))

    def signed(**how: object) -> bytes:
        return message(signed=sign1(header, **how))  # type: ignore[arg-type]  # one place for many wrong forms

    kid = NODE_KEY.kid
    yield "algorithm_es256", "algorithm", "algorithm -7", signed(protected={1: -7, 4: kid})
    yield "algorithm_true", "algorithm", "algorithm true", signed(protected={1: True, 4: kid})
    yield "algorithm_missing", "form", "no algorithm", signed(protected={4: kid})
    yield "protected_more", "form", "a content type in the protected header", signed(protected={1: EDDSA, 3: 0, 4: kid})
    yield "protected_empty", "form", "an empty protected header", signed(protected=b"\xa0")
    yield "kid_short", "form", "a kid of 7 bytes", signed(protected={1: EDDSA, 4: kid[:7]})
    yield "unprotected", "form", "the kid once more in the unprotected header", signed(unprotected={4: kid})
    yield "tag_wrong", "form", "tag 17, a COSE_Mac0", signed(tag=17)
    yield "tag_missing", "form", "no tag", signed(tag=None)
    yield "signature_short", "form", "a signature of 63 bytes", signed(cut=63)
    yield (
        "payload_detached",
        "form",
        "null for the header",
        message(signed=raw(cbor2.CBORTag(18, [raw({1: EDDSA, 4: kid}), {}, None, bytes(64)]))),
    )
    yield "kid_unknown", "kid_unknown", "signed by a key that nobody knows", signed(key=STRANGER)
    yield "signature_bit", "signature", "one bit of the signature", signed(spoil=301)
    yield (
        "stranger",
        "signature",
        "a stranger who names the node's key",
        signed(key=STRANGER, protected={1: EDDSA, 4: kid}),
    )
    yield "purpose_ack", "signature", "signed for the purpose ack", signed(aad=("gardu1", "ack", CITY, NODE))
    yield "other_node_signed", "signature", "signed for another node", signed(aad=("gardu1", "batch", CITY, "dago-02"))
    yield "other_city_signed", "signature", "signed for another city", signed(aad=("gardu1", "batch", "surabaya", NODE))
    yield "aad_missing", "signature", "signed without the external data", signed(aad=())
    yield "other_node", "node", "signed for this node, but its header names another", _header(node=f"{CITY}/dago-02")
    yield "other_city", "node", "signed for this city, but its header names another", _header(node=f"surabaya/{NODE}")
    yield (
        "other_node_whole",
        "signature",
        "all of another node's message, with one key known for both",
        message(
            header=raw(fields(node=f"{CITY}/dago-02", digest=batch.digest_of(b"[]"))),
            signed=sign1(
                raw(fields(node=f"{CITY}/dago-02", digest=batch.digest_of(b"[]"))),
                aad=("gardu1", "batch", CITY, "dago-02"),
            ),
        ),
    )


def _bodies() -> Iterator[Refusal]:
    yield (
        "digest_wrong",
        "digest",
        "another body than the signed one",
        message(b"[ ]", changes={"digest": batch.digest_of(b"[]")}),
    )
    bomb = _squeezed(bytes(batch.MESSAGE_BYTES + 1))
    yield "bomb", "size", "a small body that inflates beyond 256 KiB", message(bomb, changes={"coding": 1})
    squeezed = _squeezed(b"[]")
    yield (
        "deflate_trailing",
        "coding",
        "a byte after the end of the DEFLATE data",
        message(squeezed + b"\x00", changes={"coding": 1}),
    )
    yield "deflate_cut", "coding", "DEFLATE data without its end", message(squeezed[:-1], changes={"coding": 1})
    yield (
        "zlib_wrapped",
        "coding",
        "zlib (RFC 1950) and not raw DEFLATE",
        message(_squeezed(b"[]", wbits=15), changes={"coding": 1}),
    )
    yield "count_wrong", "count", "two readings announced, one sent", pack(_row(), count=2)
    time, alarm = (Kind.TIME, Stream.TELEMETRY), (Kind.NOTE, Stream.ALARM)
    yield "record_array", "body", "a record that is an array", _record(*time, b"[]")
    yield "record_deep", "body", "five levels of JSON", _record(*time, b'{"a":[[[[1]]]]}')
    yield "record_key_twice", "body", "one key twice in an object", _record(*time, b'{"utc_ms":1,"utc_ms":2}')
    yield "record_cut", "body", "JSON without its end", _record(*time, b'{"utc_ms":1')
    yield "time_without_utc", "body", "a time record that tells no time", _record(*time, b'{"boot_ms":1}')
    yield (
        "note_work_unknown",
        "body",
        "a note of unknown work",
        _record(*alarm, encode_body({"work": "paint", "by": "Asep", "sensor": None, "text": ""})),
    )
    yield (
        "gap_upside_down",
        "body",
        "a gap from 9 to 5",
        _record(
            Kind.GAP,
            Stream.TELEMETRY,
            encode_body({"chains": [], "rows": [[RUN_A.hex(), 9, 5]], "from": None, "to": None, "reason": "full"}),
        ),
    )
    yield (
        "start_without_rows",
        "body",
        "a start that does not tell what it took over",
        message(b'{"previous":null}', changes={"kind": 1, "n": 1, "prev": batch.NO_HASH}),
    )
    proof = change_key(STRANGER, old=NODE_KEY.public, city=CITY, node=NODE).proof
    change = {"old": NODE_KEY.public.hex(), "new": NEW_KEY.public.hex(), "proof": proof.hex()}
    yield (
        "key_proof_stranger",
        "kid_unknown",
        "a new key whose proof another key made",
        _record(Kind.KEY, Stream.ALARM, encode_body(change)),
    )
    yield (
        "key_of_other",
        "body",
        "a change from a key that did not sign the record",
        _record(Kind.KEY, Stream.ALARM, change_key(NEW_KEY, old=OTHER_KEY.public, city=CITY, node=NODE).encode()),
    )


def _packs() -> Iterator[Refusal]:
    yield "json_nan", "body", "NaN", pack(_row().replace('"v":1', '"v":NaN'))
    yield "json_infinity", "body", "a number beyond a double", pack(_row().replace('"v":1', '"v":1e999'))
    yield "json_key_twice", "body", "two values under one key", pack(_row().replace('"v":1', '"v":1,"v":2'))
    yield "json_trailing", "body", "a second JSON text", pack(_row() + "[]")
    yield "json_bom", "body", "a byte order mark", pack("\ufeff" + _row())
    yield "json_latin1", "body", "a byte that is not UTF-8", message(b'["\xe9"]', changes={"count": 1})
    yield "json_half_pair", "body", "half a surrogate pair", pack(_row().replace('"v":1', '"vs":"\\ud800"'))
    yield "pack_object", "body", "an object in the place of the pack", pack("{}")
    yield "record_unknown_key", "body", "a SenML key that Gardu does not write", pack(_row(',{"v":2,"t":-1,"s":3}'))
    yield "record_number", "body", "a number in the place of a record", pack(_row(",2"))
    yield "no_value", "body", "a record without a value", pack(_row(',{"t":-1}'))
    yield "two_values", "body", "v and vs in one record", pack(_row(',{"v":1,"vs":"x","t":-1}'))
    yield "value_true", "body", "v = true", pack(_row().replace('"v":1', '"v":true'))
    yield "value_null", "body", "v = null", pack(_row().replace('"v":1', '"v":null'))
    yield (
        "value_too_large",
        "body",
        "an integer that a double does not hold",
        pack(_row().replace('"v":1', '"v":9007199254740992')),
    )
    yield "text_too_long", "body", "a text of 257 bytes", pack(_row().replace('"v":1', f'"vs":"{"x" * 257}"'))
    yield "t_positive", "body", "a reading after the sealing", pack(_row(',{"t":1,"v":2}'), count=2)
    yield "t_not_exact", "body", "a tenth of a millisecond", pack(_row(',{"t":-0.0001,"v":2}'), count=2)
    yield "t_before_boot", "body", "a reading before the boot", pack(_row(',{"t":-3600.001,"v":2}'), count=2)
    yield "t_text", "body", "t as a text", pack(_row(',{"t":"-1","v":2}'), count=2)
    yield "t_false", "body", "t = false", pack(_row(',{"t":false,"v":2}'), count=2)
    yield "one_ms_twice", "body", "two rows of a channel in one millisecond", pack(_row(',{"v":2}'), count=2)
    yield "flag_without_value", "body", "a flag before any value", pack('[{"n":"/quality","vs":"stale"}]')
    yield "flag_other_moment", "body", "a flag of another moment", pack(_row(',{"n":"/quality","t":-1,"vs":"stale"}'))
    yield "flag_no_word", "body", "a flag that is a number", pack(_row(',{"n":"/quality","v":1}'))
    yield "flag_twice", "body", "one flag twice", pack(_row(',{"n":"/quality","vs":"stale"}' * 2))
    yield "flag_t_false", "body", "a flag with t = false", pack(_row(',{"n":"/quality","t":false,"vs":"stale"}'))
    yield "name_unknown", "body", "a name that is no flag", pack(_row(',{"n":"/other","vs":"x"}'))
    yield "base_missing", "body", "a value without a base name", pack(f'[{{{_BT},"v":1}}]')
    yield "base_other_node", "body", "the base name of another node", pack(_row(base=_BN.replace(NODE, "dago-02")))
    yield "base_no_channel", "body", "a base name without a channel", pack(_row(base=_BN.replace("/pm2_5", "")))
    yield "base_no_unit", "body", "no unit", pack(_row(base=_BN.partition(",")[0]))
    yield "unit_alone", "body", "a unit without its base name", pack(_row(',{"bu":"m","t":-1,"v":2}'), count=2)
    yield "base_time_missing", "body", "no base time although UTC is known", pack(f'[{{{_BN},"v":1}}]')
    yield "base_time_other", "body", "another base time than the header's", pack(_row(head='"bt":1795000000'))
    yield "base_time_later", "body", "a base time in the second record", pack(_row(f',{{{_BT},"t":-1,"v":2}}'), count=2)
