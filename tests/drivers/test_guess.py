import pytest

from drivers.guess import Ear, Guess, Question, talkers_that_are_asked
from drivers.io.catalog import registry
from drivers.io.simulators import simulator
from drivers.simulate.simulator import Simulator

DRIVERS = registry()
NS = 1_000_000_000
ASKED = talkers_that_are_asked(DRIVERS)
TALKERS = [name for name in DRIVERS.names() if DRIVERS.info(name).mode == "stream" and name not in ASKED]


def listen(unit: Simulator, seconds: int = 12, *, parity: bool = False) -> Ear:
    ear = Ear(DRIVERS)
    for step in range(seconds * 10):
        now_ns = (step + 1) * NS // 10
        for frame in unit.tick(now_ns):
            ear.hear(_with_parity(frame) if parity else frame, now_ns)
    return ear


def ask(unit: Simulator, name: str) -> Question:
    """Ask over a wire without delay, in virtual time."""
    question = Question(DRIVERS, name)
    now_ns = NS
    waiting = question.start(now_ns)
    for _ in range(1000):
        if question.done(now_ns):
            break
        if waiting:
            answers = [answer for request in waiting for answer in unit.receive(request, now_ns)]
            now_ns += NS // 100
            waiting = [more for answer in answers for more in question.receive(answer, now_ns)]
        else:
            now_ns = max(question.deadline(), now_ns + 1_000_000)
            waiting = question.tick(now_ns)
    else:
        raise AssertionError(name)
    return question


def ask_all(unit: Simulator) -> list[Guess]:
    found = [guess for name in ASKED if (guess := ask(unit, name).guess())]
    return sorted(found, key=lambda guess: guess.rank, reverse=True)


def _with_parity(data: bytes) -> bytes:
    return bytes(byte | 0x80 if byte.bit_count() % 2 else byte for byte in data)


@pytest.mark.parametrize("name", [*TALKERS, "a01nyub", "maxbotix_xl", "pms3003", "pms5003st", "pms5003t"])
def test_a_unit_that_talks_is_named_by_its_frames(name: str) -> None:
    ear = listen(simulator(name))
    best = ear.guesses()[0]
    assert best.info.family == DRIVERS.info(name).family
    assert best.readings
    assert best.share > 0.8


@pytest.mark.parametrize("name", ["nmea", "windsonic"])
def test_seven_bits_with_even_parity_are_recognised_without_reopening(name: str) -> None:
    best = listen(simulator(name), parity=True).guesses()[0]
    assert (best.info.family, best.seven_bits) == (name, True)


@pytest.mark.parametrize("name", ASKED)
def test_a_unit_that_is_asked_is_named_by_its_answers(name: str) -> None:
    guesses = ask_all(simulator(name))
    assert guesses, name
    best = guesses[0]
    assert best.info.family == DRIVERS.info(name).family
    assert name in {guess.name for guess in guesses if guess.rank[0] == best.rank[0]}


def _text(*lines: str) -> list[Guess]:
    ear = Ear(DRIVERS)
    for line in ("tail of a line", *lines):
        ear.hear(f"{line}\r\n".encode(), NS)
    return ear.guesses()


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ('{"T In": 1.5, "name": "x", "!": 2}', {"format": "json", "fields": {"t_in": "T In"}}),
        ("temp=21.5;hum: 60", {"format": "keyvalue", "fields": {"temp": "temp", "hum": "hum"}}),
        ("21.5, 60, ok", {"format": "csv", "fields": {"value_1": "1", "value_2": "2"}}),
    ],
)
def test_lines_of_text_get_the_options_that_read_them(line: str, options: dict[str, object]) -> None:
    (guess,) = _text(line, line, line)
    assert (guess.name, guess.options) == ("line", options)
    assert guess.readings


@pytest.mark.parametrize("line", ['{"name": "x"}', "hello", "{" * 5000, '{"é": 1}', '{"t": NaN}'])
def test_lines_without_numbers_are_nobodys(line: str) -> None:
    assert _text(line, line, line) == []


def test_one_line_may_be_chance() -> None:
    assert _text("1,2") == []
    assert not Ear(DRIVERS).sure


def test_only_the_drivers_that_are_named_listen() -> None:
    ear = Ear(DRIVERS, ["nmea", "mhz19"])
    for frame in simulator("sds011").tick(NS):
        ear.hear(frame * 5, NS)
    assert ear.guesses() == []
    ear.hear(b"\r\n1,2\r\n3,4\r\n5,6\r\n", NS)
    assert ear.guesses() == []


def test_few_good_frames_in_much_noise_are_not_believed() -> None:
    ear = Ear(DRIVERS)
    for frame in simulator("sds011").tick(NS):
        ear.hear(frame, NS)
    ear.hear(bytes(range(128, 256)) * 8, 2 * NS)
    assert ear.guesses() == []


def test_one_frame_is_a_guess_and_two_are_sure() -> None:
    ear = Ear(DRIVERS)
    unit = simulator("sds011")
    for moment, sure in ((NS, False), (3 * NS, True)):
        for frame in unit.tick(moment):
            ear.hear(frame, moment)
        assert ear.guesses()[0].name == "sds011"
        assert ear.sure == sure


def test_a_silent_unit_is_given_up_and_asked_nothing_twice() -> None:
    question = Question(DRIVERS, "pzem004t")
    asked = question.start(NS)
    now_ns = NS
    while not question.done(now_ns):
        now_ns = max(question.deadline(), now_ns + 1)
        asked += question.tick(now_ns)
    assert now_ns - NS < 2 * NS
    assert len(asked) == len(set(asked)) == 1
    assert question.guess() is None
    assert not question.answered


def test_a_refusal_proves_a_unit_and_no_map() -> None:
    question = ask(simulator("pzem004t"), "renke_soil")
    assert question.answered
    assert question.guess() is None


def test_an_answer_without_a_check_counts_only_with_a_reading() -> None:
    question = Question(DRIVERS, "ups_megatec")
    question.start(NS)
    question.receive(b"(NAK\r", NS)
    assert question.guess() is None


def test_who_babbles_for_ever_is_left_in_the_end() -> None:
    question = Question(DRIVERS, "escpos")
    question.start(NS)
    now_ns = NS
    while not question.done(now_ns):
        now_ns += NS // 2
        question.receive(b"\x00", now_ns)
    assert now_ns < 17 * NS


@pytest.mark.parametrize(
    ("unit", "map_of"), [("sonbest_temp_humidity", "renke_temp_humidity"), ("sen0658", "renke_weather")]
)
def test_a_map_with_wild_or_missing_values_fits_less_than_its_own(unit: str, map_of: str) -> None:
    own, other = ask(simulator(unit), unit).guess(), ask(simulator(unit), map_of).guess()
    assert own is not None
    assert other is not None
    assert other.fit < own.fit == 1
