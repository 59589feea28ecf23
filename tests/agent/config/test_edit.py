"""Keys of a sensor change in place: the asked key and nothing else, however the file is written."""

import difflib

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from agent.config.edit import EditError, basic, change

PLAIN = """\
# the river at the bridge
node = "dago-01"

[sensor.air]            # on the roof
driver = "sds011"

[sensor.sungai]
driver = "a02yyuw"      # since 2025
port   = "uart:gpio14"
  mount_height = "4.20 m"   # by staff
blind_zone = '3 cm'

[sensor.sungai.channel.distance]
range = ["0.1 m", "4.2 m"]
"""


def lines(before: str, after: str) -> list[str]:
    """What a diff shows, without its context."""
    found = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in found if line[0] in "+-" and not line.startswith(("+++", "---"))]


def edited(text: str, **keys: str | None) -> str:
    return change(text.encode(), "sungai", keys).decode()


def test_a_value_is_replaced_and_its_comment_stays() -> None:
    after = edited(PLAIN, mount_height='"4.213 m"')
    assert lines(PLAIN, after) == [
        '-  mount_height = "4.20 m"   # by staff',
        '+  mount_height = "4.213 m"   # by staff',
    ]


def test_a_new_key_stands_behind_the_last_one_of_its_section() -> None:
    before = PLAIN.replace('  mount_height = "4.20 m"   # by staff\n', "")
    after = edited(before, mount_height='"4.213 m"')
    assert lines(before, after) == ['+mount_height = "4.213 m"']
    assert after.index("blind_zone") < after.index("mount_height") < after.index("[sensor.sungai.channel")


def test_a_key_leaves_with_its_line() -> None:
    assert lines(PLAIN, edited(PLAIN, blind_zone=None)) == ["-blind_zone = '3 cm'"]


def test_a_key_that_is_not_there_need_not_leave() -> None:
    assert edited(PLAIN, reach=None) == PLAIN


def test_several_keys_change_at_once() -> None:
    after = edited(PLAIN, driver='"a01nyub"', blind_zone=None, port='"usb:1-1.2"')
    assert tomli.loads(after)["sensor"]["sungai"] == {
        "driver": "a01nyub",
        "port": "usb:1-1.2",
        "mount_height": "4.20 m",
        "channel": {"distance": {"range": ["0.1 m", "4.2 m"]}},
    }
    assert "# since 2025" in after


FORMS = {
    "dotted in a section": ('[sensor]\n sungai.driver = "x" # y\n sungai.h = "1 m"\n', "h"),
    "dotted at the top": ('sensor.sungai.driver = "x"\nsensor.sungai.h = "1 m"\nz = 1\n', "h"),
    "braces": ('[sensor]\nsungai = { driver = "x", h = "1 m", b = 2 } # c\n', "h"),
    "braces, last": ('sensor = { sungai = { driver = "x" , h = "1 m" }, other = {driver = "y"} }\n', "h"),
    "braces, first": ('sensor.sungai = {h = "1 m" , driver = "x"}', "h"),
    "quoted names": ('["sensor"."sungai"]\n"driver" = "x"\n"h" = "1 m" # é\n', "h"),
    "lines of Windows": ('[sensor.sungai]\r\ndriver = "x"\r\nh = """1\r\n m"""\r\nb = 2\r\n', "h"),
    "a byte order mark": ('\ufeffsensor.sungai.driver = "x"\nsensor.sungai.h = "1 m"\n', "h"),
    "no line end": ('[sensor.sungai]\ndriver = "x"\nh = "1 m"', "h"),
    "a list over lines": ('[sensor.sungai]\nh = [\n "1 m",\n] # a\ndriver = "x"\n[a]\n', "h"),
    "a section below": ('[sensor.sungai]\ndriver = "x"\nh = "1 m"\n[sensor.sungai.b]\nc = 1\n[sensor.a]\nh = 1\n', "h"),
}


@pytest.mark.parametrize(("text", "key"), FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("value", ['"2.500 m"', None])
def test_however_a_section_is_written_only_the_key_changes(text: str, key: str, value: str | None) -> None:
    after = edited(text, **{key: value})
    wanted = tomli.loads(text.removeprefix("\ufeff"))
    del wanted["sensor"]["sungai"][key]
    if value is not None:
        wanted["sensor"]["sungai"][key] = "2.500 m"
    assert tomli.loads(after.removeprefix("\ufeff")) == wanted
    comments = [line.partition("#")[2] for line in text.splitlines() if "#" in line and key not in line]
    assert all(comment in after for comment in comments if value is not None)
    assert after.startswith("\ufeff") == text.startswith("\ufeff")


@pytest.mark.parametrize(("text", "key"), FORMS.values(), ids=FORMS)
def test_however_a_section_is_written_a_key_can_be_added(text: str, key: str) -> None:
    after = edited(text, new='"5 m"')
    wanted = tomli.loads(text.removeprefix("\ufeff"))
    wanted["sensor"]["sungai"]["new"] = "5 m"
    assert tomli.loads(after.removeprefix("\ufeff")) == wanted
    assert after.replace("\r\n", "").count("\r") == 0
    assert ("\r\n" in text) == ("\r\n" in after)
    assert "\r\n" not in text or "\n" not in after.replace("\r\n", "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[sensor.sungai]\ndriver = "x"\n[sensor.sungai.h]\na = 1\n', "is a section of its own at line 3"),
        ('[sensor.sungai]\ndriver = "x"\n[[sensor.sungai.h]]\na = 1\n', "is a section of its own at line 3"),
        ('[sensor.sungai]\ndriver = "x"\nh.a = 1\n', "is a section of its own at line 3"),
        ('[sensor.other]\ndriver = "x"\n', "is not in this file"),
        ("[sensor.sungai]\n", "is not in this file"),
        ("node = 1\n", "is not in this file"),
    ],
)
def test_what_cannot_be_changed_in_place_is_left_to_a_person(text: str, told: str) -> None:
    with pytest.raises(EditError, match=told):
        edited(text, h='"2 m"')


def test_a_result_that_is_no_toml_is_never_returned() -> None:
    with pytest.raises(EditError, match="would be no TOML"):
        edited(PLAIN, mount_height='"4 m')


def test_a_result_that_changes_more_than_was_asked_is_never_returned() -> None:
    with pytest.raises(EditError, match="cannot be changed in place"):
        edited(PLAIN, mount_height='"4 m"\nsneaked = 1 #')


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20))
def test_any_plain_text_survives_its_quotes(text: str) -> None:
    assert tomli.loads(f"value = {basic(text)}")["value"] == text
