import json
from collections.abc import Mapping, Sequence

import pytest

from drivers.conformance.vectors import VectorsError, profile_vectors, prove, read_vectors
from drivers.driver import OptionValue
from drivers.io.catalog import registry
from drivers.serial.decoded import Decoded

GOOD: dict[str, object] = {
    "device": "knob",
    "bytes_hex": "aa 01",
    "expect": "reading",
    "decoded": {"count": {"value": 1, "unit": "1"}},
    "source": "sheet",
}


def test_a_vector_is_what_its_file_says() -> None:
    more = {**GOOD, "request_hex": "05", "options": {"unit": 3}, "check": "none", "derived": True, "helps": True}
    (one,) = read_vectors(json.dumps([more, {**GOOD, "device": "lever"}]), "knob")
    assert (one.frame, one.request, one.expect, one.source) == (b"\xaa\x01", b"\x05", "reading", "sheet")
    assert (dict(one.values), dict(one.units), dict(one.options)) == ({"count": 1}, {"count": "1"}, {"unit": 3})
    assert (one.derived, one.helps, one.check) == (True, True, "none")
    assert [read_vectors(json.dumps([{**GOOD, "expect": said}]), "knob")[0].values for said in ("reject", "no_reading")]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"bytes_hex": ""}, "vector 1: bytes_hex is empty"),
        ({"bytes_hex": "xy"}, "vector 1: bytes_hex is no hex"),
        ({"bytes_hex": 5}, "vector 1: bytes_hex is no hex"),
        ({"request_hex": "0"}, "vector 1: request_hex is no hex"),
        ({"expect": "maybe"}, "expect is 'maybe'"),
        ({"decoded": {}}, "says nothing yet"),
        ({"decoded": []}, "decoded is not like"),
        ({"decoded": {"count": 1}}, "decoded is not like"),
        ({"decoded": {"count": {"value": None, "unit": "1"}}}, "decoded is not like"),
        ({"decoded": {"count": {"value": 1}}}, "decoded is not like"),
        ({"options": []}, "options is no object"),
        ({"bytes": "00"}, "'bytes' is unknown"),
    ],
)
def test_a_vector_that_cannot_be_read_says_why(change: dict[str, object], why: str) -> None:
    with pytest.raises(VectorsError) as caught:
        read_vectors(json.dumps([{**GOOD, **change}]), "knob")
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"), [("{", "no JSON"), ("{}", "no list"), ("[1]", "vector 1 is no object"), ("[]", "no vector is of")]
)
def test_what_is_no_list_of_vectors_says_so(text: str, why: str) -> None:
    with pytest.raises(VectorsError, match=why):
        read_vectors(text, "knob")


def test_a_profile_brings_its_replies_and_a_damaged_one() -> None:
    drivers = registry()
    *readings, reject = profile_vectors(drivers.profile_text("sonbest_wind"), drivers.info("sonbest_wind"))
    assert [dict(one.values) for one in readings] == [{"wind_speed": 1.21}, {"wind_speed": 5.36}]
    assert {one.units["wind_speed"] for one in readings} == {"m/s"}
    assert (reject.expect, reject.derived, reject.frame[:-1]) == ("reject", True, readings[0].frame[:-1])
    prove([*readings, reject], lambda options, frames: drivers.decode("sonbest_wind", options, frames))


@pytest.mark.parametrize("change", [{"value": 2, "unit": "1"}, {"value": 1, "unit": "m"}])
def test_a_driver_that_says_another_value_or_unit_is_contradicted(change: dict[str, object]) -> None:
    drivers = registry()
    frame = {"device": "sds011", "bytes_hex": "aac08c009400bcf9d5ab", "expect": "reading", "source": "x"}
    right = {"pm2_5": {"value": 14.0, "unit": "ug/m3"}, "pm10": {"value": 14.8, "unit": "ug/m3"}}

    def decode(_: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
        return drivers.decode("sds011", {}, frames)

    prove(read_vectors(json.dumps([{**frame, "decoded": right}]), "sds011"), decode)
    wrong = read_vectors(json.dumps([{**frame, "decoded": {**right, "pm10": change}}]), "sds011")
    with pytest.raises(VectorsError, match="aa c0 8c 00 94 00 bc f9 d5 ab: expected"):
        prove(wrong, decode)
