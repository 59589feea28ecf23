import random

import pytest

from drivers.bus import Bus
from drivers.driver import Ask, Event, OptionValue, Problem, Send
from drivers.errors import OptionError
from drivers.reading import Reading
from drivers.serial.modem_at import decode, make

S = 1_000_000_000
OK = b"\r\nOK\r\n"
STATUS = [b"AT+CSQ\r", b"AT+CESQ\r", b"AT+CEREG?\r", b"AT+CREG?\r", b"AT+COPS?\r"]
QUOTA: dict[str, OptionValue] = {
    "ussd": {"quota": {"code": "*888#", "pattern": r"kuota ([\d.,]+) ?MB", "unit": "MB", "every": "1 h"}}
}
HEALTHY = {
    b"ATE0\r": b"ATE0\r" + OK,
    b"AT+CSQ\r": b"\r\n+CSQ: 17,99\r\n" + OK,
    b"AT+CESQ\r": b"\r\n+CESQ: 99,99,255,255,20,80\r\n" + OK,
    b"AT+CEREG?\r": b"\r\n+CEREG: 0,1\r\n" + OK,
    b"AT+CREG?\r": b"\r\n+CREG: 0,1\r\n" + OK,
    b"AT+COPS?\r": b'\r\n+COPS: 0,0,"Telkomsel",7\r\n' + OK,
}


def _lone(line: str) -> dict[str, object]:
    return {one.channel: one.value for one in decode("modem_at", {}, [line.encode()]).readings}


def _values(events: list[Event]) -> dict[str, object]:
    return {event.channel: event.value for event in events if isinstance(event, Reading)}


def _played(
    replies: dict[bytes, bytes], seconds: int, options: dict[str, OptionValue] | None = None, chunk: int = 1000
) -> tuple[list[Event], list[bytes]]:
    bus = Bus([make("modem_at", "m", options or {}, 10.0)])
    events: list[Event] = []
    asked: list[bytes] = []
    now_ns = 0
    coming = bus.start(now_ns)
    while now_ns < seconds * S:
        for event in coming:
            if isinstance(event, Send):
                asked.append(event.data)
                reply = replies.get(event.data, b"")
                for at in range(0, len(reply), chunk):
                    coming += bus.receive(reply[at : at + chunk], now_ns)
            else:
                events.append(event)
        now_ns += S // 20
        coming = bus.tick(now_ns)
    return events, asked


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("+CSQ: 0,0", {"rssi": -113}),
        ("+CSQ: 31,7", {"rssi": -51}),
        ("+CSQ: 99,99", {}),
        ("+CSQ: 32,0", {}),
        ("+CSQ: 199,99", {}),
        ("+CSQ: x", {}),
        ("+CESQ: 99,99,255,255,0,0", {"rsrp": -141, "rsrq": -20.0}),
        ("+CESQ: 99,99,255,255,34,97", {"rsrp": -44, "rsrq": -3.0}),
        ("+CESQ: 20,0,255,255,255,255", {}),
        ("+CESQ: 99,99", {}),
        ("+CREG: 0,2", {"registered": False}),
        ("+CREG: 0,4", {}),
        ("+CREG: 5", {"registered": True, "roaming": True}),
        ('+CREG: 1,"00C3","0000A1B2",7', {"registered": True, "roaming": False}),
        ("+CREG: 1,00C3,A1B2", {"registered": True, "roaming": False}),
        ('+CEREG: 2,5,"1A2B","01A2B3C4",7', {"registered": True, "roaming": True}),
        ("+CREG: x", {}),
        ("+COPS: 0", {}),
        ('+COPS: 1,2,"51010",13', {"operator": "51010", "access": "en_dc"}),
        ('+COPS: 0,0,"",99', {}),
        ("+CGREG: 0,1", {"registered": True, "roaming": False}),
        ('+C5GREG: 2,5,"03F1","1000A2B3C",11', {"registered": True, "roaming": True}),
        ("+CREG: 3,3,,,,0,15", {"registered": False}),
        ("+CEREG: 3,,,,0,11", {"registered": False}),
        ('+COPS: (2,"TELKOMSEL","TSEL","51010",7),(1,"XL","XL","51011",7),,(0-4),(0-2)', {}),
        ("RING", {}),
        ('AT+CUSD=1,"*888#",15', {}),
        ("OK", {}),
    ],
)
def test_a_line_means_what_the_standard_says_and_unknown_is_no_value(line: str, values: dict[str, object]) -> None:
    assert _lone(f"\r\n{line}\r\n") == values


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_a_round_brings_everything_however_it_is_cut(chunk: int) -> None:
    events, asked = _played(HEALTHY, 1, chunk=chunk)
    assert asked == [b"ATE0\r", *STATUS]
    assert _values(events) == {
        "rssi": -79,
        "rsrp": -61,
        "rsrq": -10.0,
        "registered": True,
        "roaming": False,
        "operator": "Telkomsel",
        "access": "lte",
    }


def test_unsolicited_lines_and_the_echo_do_not_disturb() -> None:
    replies = {key: key + b"\r\nRING\r\n+CMTI: 1\r\n" + value for key, value in HEALTHY.items()}
    events, _ = _played(replies, 1)
    assert _values(events)["rssi"] == -79
    assert _values(events)["operator"] == "Telkomsel"
    assert not [event for event in events if isinstance(event, Problem)]


def test_a_modem_that_one_network_serves_is_registered_and_never_told_to_be_lost() -> None:
    replies = HEALTHY | {b"AT+CREG?\r": b"\r\n+CREG: 0,0\r\n" + OK}
    events, _ = _played(replies, 30)
    told = [event.value for event in events if isinstance(event, Reading) and event.channel == "registered"]
    assert set(told) == {True}
    replies = HEALTHY | {b"AT+CEREG?\r": b"\r\n+CEREG: 0,0\r\n" + OK}
    events, _ = _played(replies, 30)
    assert {event.value for event in events if isinstance(event, Reading) and event.channel == "registered"} == {True}
    replies = HEALTHY | {b"AT+CREG?\r": b"\r\n+CREG: 0,2\r\n" + OK, b"AT+CEREG?\r": b"\r\n+CEREG: 0,2\r\n" + OK}
    events, _ = _played(replies, 30)
    assert {event.value for event in events if isinstance(event, Reading) and event.channel == "registered"} == {False}


@pytest.mark.parametrize("word", [b"ERROR", b"+CME ERROR: 10", b"COMMAND NOT SUPPORT"])
def test_a_refused_command_is_one_problem_until_it_works(word: bytes) -> None:
    replies = HEALTHY | {b"AT+CESQ\r": b"\r\n" + word + b"\r\n"}
    bus = Bus([driver := make("modem_at", "m", {}, 10.0)])
    bus.start(0)
    question = driver._questions[2]
    events: list[Event] = []
    for reply in (replies[b"AT+CESQ\r"], replies[b"AT+CESQ\r"], HEALTHY[b"AT+CESQ\r"]):
        verdict = driver._match(question, reply, 1)
        assert verdict is not None
        events += verdict.events
    assert [(one.code, one.detail, one.ok) for one in events if isinstance(one, Problem)] == [
        ("refused-AT+CESQ", word.decode(), False),
        ("refused-AT+CESQ", "", True),
    ]


def test_a_declared_ussd_query_brings_the_quota_and_keeps_its_pace_over_restarts() -> None:
    request = b'AT+CUSD=1,"*888#",15\r'
    answer = OK + b'\r\n+CUSD: 0,"Sisa pulsa Rp5000.\r\nKuota 1536,5 MB s.d. 30/11",15\r\n'
    events, asked = _played(HEALTHY | {request: answer}, 120, QUOTA)
    assert _values(events)["quota"] == 1536.5
    assert asked.count(request) == 1
    driver = make("modem_at", "m", QUOTA, 10.0)
    queries = [
        request in [event.transaction.request for event in driver.start(now_s * S) if isinstance(event, Ask)]
        for now_s in (0, 60, 3599, 3600)
    ]
    assert queries == [True, False, False, True]


def test_ok_alone_is_no_answer_to_ussd_and_the_query_waits_for_it() -> None:
    driver = make("modem_at", "m", QUOTA, 10.0)
    driver.start(0)
    question = driver._questions[-1]
    assert driver._transaction(question).timeout_ns == 30 * S
    assert driver._match(question, OK, 1) is None
    verdict = driver._match(question, OK + b"+CUSD: 2\r\n", 1)
    assert verdict is not None
    assert _values(list(verdict.events)) == {}
    verdict = driver._match(question, b"\r\n+CME ERROR: 100\r\n", 1)
    assert verdict is not None


def test_ussd_text_in_ucs2_is_read() -> None:
    text = "Kuota 42 MB".encode("utf-16-be").hex().upper()
    for raw, value in ((text, 42.0), (text[:-1], None)):
        driver = make("modem_at", "m", QUOTA, 10.0)
        driver.start(0)
        verdict = driver._match(driver._questions[-1], OK + f'\r\n+CUSD: 0,"{raw}",72\r\n'.encode(), 1)
        assert verdict is not None
        assert _values(list(verdict.events)).get("quota") == value


def test_nothing_but_the_questions_and_the_declared_codes_is_ever_sent() -> None:
    _, asked = _played({}, 200, QUOTA)
    assert set(asked) <= {b"ATE0\r", *STATUS, b'AT+CUSD=1,"*888#",15\r'}


@pytest.mark.parametrize(
    ("ussd", "says"),
    [
        ({"rssi": {"code": "*1#", "pattern": "(1)"}}, "no free channel name"),
        ({"q": "*1#"}, "takes a table"),
        ({"q": {"code": "*1#", "pattern": "(1)", "cost": 1}}, "takes a table"),
        ({"q": {"code": '*1#"\rATD1;', "pattern": "(1)"}}, "no USSD code"),
        ({"q": {"code": "*1", "pattern": "(1)"}}, "no USSD code"),
        ({"q": {"code": "*1#", "pattern": "("}}, "no regular expression"),
        ({"q": {"code": "*1#", "pattern": "1"}}, "one group"),
        ({"q": {"code": "*1#", "pattern": "(1)", "every": "5 s"}}, "600 s or more"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(ussd: OptionValue, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        make("modem_at", "m", {"ussd": ussd}, None)


def test_babble_raises_nothing() -> None:
    chance = random.Random(9)  # noqa: S311 - noise, no secret
    driver = make("modem_at", "m", QUOTA, 10.0)
    driver.start(0)
    for _ in range(300):
        noise = bytes(chance.choices(b'+CREGSQUD: 0129,"\r\nOK\xff', k=200))
        for question in driver._questions:
            driver._match(question, noise, 1)
        decode("modem_at", {}, [noise])
