"""K12 to K15: silence, clocks, warm-up, and who answers after a port was lost."""

from drivers.conformance.play import NS, Play, clean, live, sequence_of
from drivers.conformance.subject import NotApplicable, Subject, Vector, ensure
from drivers.driver import Identified, Problem, Send
from drivers.reading import Quality, Reading

_STRANGER = bytes.fromhex("01041408d1006c000000f400000026000001f4006400005134")
_TALKER = b"$GPGGA,184353.07,1929.045,S,02410.506,E,1,04,2.6,100.00,M,-33.9,M,,0000*6D\r\n"
_DRIP = 0.9
_LONG_NS = 30 * 86_400 * NS
_MOST_SENDS = 50  # questions that one moment may bring, even after a month


def k12_silence(subject: Subject) -> None:
    """Silence, half a frame and drips: a timeout at its deadline, stale in time, no wake-up that nobody asked for."""
    one = live(subject)[0]
    play = Play(subject, one.options, subject.vectors)
    play.settle()
    play.judged(play.turn(one.request, one.frame))
    _stale(play)
    play.turn(one.request, one.frame[: len(one.frame) // 2])
    if play.talks:
        _quiet(play)
        found = sequence_of(play.turn(one.request, one.frame) + play.turn(one.request, one.frame))
        ensure(set(clean(subject, [one])) & set(found), "half a frame and a silence hide the frames behind them")
    else:
        _timeout(play)
        _drip(play, one)


def _stale(play: Play) -> None:
    name, info = play.driver.sensor, play.driver.info
    heard_ns, stale_ns = play.now_ns, round(info.stale_after_s * NS)
    ensure(play.doubter.stale(heard_ns + stale_ns - NS // 10) == [], "stale too early")
    ensure(play.doubter.stale(heard_ns + stale_ns + NS // 10) == [name], f"not stale after {info.stale_after_s:g} s")


def _quiet(play: Play) -> None:
    play.bus.tick(play.now_ns)
    due_ns = play.bus.deadline()
    if due_ns is None:
        return
    ensure(due_ns > play.now_ns, "its next moment lies in the past: it would be woken without end")
    ensure(not play.bus.tick(due_ns - 1), "it acts before the moment it named")


def _timeout(play: Play) -> None:
    missed = play.bus.counters.timeouts
    due_ns = play.bus.deadline() or 0
    ensure(not play.bus.tick(max(play.now_ns, due_ns - 1)), "it acts before the moment it named")
    play.step()
    ensure(play.bus.counters.timeouts == missed + 1, "half an answer and silence are no timeout at the deadline")


def _drip(play: Play, one: Vector) -> None:
    """One byte each time before the timeout must not hold the line for ever."""
    play.until(one.request)
    missed = play.bus.counters.timeouts
    due_ns = play.bus.deadline() or play.now_ns
    for byte in b"\x00" * 4:
        play.now_ns += round((due_ns - play.now_ns) * _DRIP)
        play.hear(bytes((byte,)))
    ensure((play.bus.deadline() or 0) <= max(due_ns, play.now_ns), "drops of noise push the timeout away")
    play.step()
    ensure(play.bus.counters.timeouts == missed + 1, "drops of noise hold the line")


def k13_clocks(subject: Subject) -> None:
    """Time stands still or jumps a month: ages right, no flood of questions. Wall time is no argument at all."""
    one = live(subject)[0]
    play = Play(subject, one.options, subject.vectors)
    for _ in range(3):
        play.bus.tick(play.now_ns)
        play.bus.receive(one.frame, play.now_ns)
    play = Play(subject, one.options, subject.vectors)
    play.turn(one.request, one.frame)
    play.now_ns += _LONG_NS
    sent = len([event for event in play.bus.tick(play.now_ns) if isinstance(event, Send)])
    ensure(sent <= _MOST_SENDS, f"{sent} questions at once after a jump of the clock")
    due_ns = play.bus.deadline()
    ensure(due_ns is None or due_ns > play.now_ns - 1, "missed polls are made up for after a jump of the clock")
    if not play.talks:
        play = Play(subject, one.options, subject.vectors, begin_ns=_LONG_NS)
    found = play.turn(one.request, one.frame)
    ensure(found, "no reading after a jump of the clock")
    ensure(all(reading.boot_ns == play.now_ns for reading in found), "a reading does not carry its own moment")


def k14_warm_up(subject: Subject) -> None:
    """Values of the first seconds are doubted, after each start anew."""
    one = live(subject)[0]
    play = Play(subject, one.options, subject.vectors)
    if not play.driver.info.warmup_s:
        raise NotApplicable("it needs no warm-up")
    for attempt in ("start", "second start"):
        cold = play.judged(play.turn(one.request, one.frame))
        ensure(cold, f"no reading after the {attempt}")
        ensure(all(Quality.WARMING_UP in reading.quality for reading in cold), f"unflagged after the {attempt}")
        play.settle()
        play.judged(play.turn(one.request, one.frame))
        warm = play.judged(play.turn(one.request, one.frame))
        driver_says = all(Quality.WARMING_UP in reading.quality for reading in play.readings[-len(warm) :])
        ensure(
            driver_says or not all(Quality.WARMING_UP in reading.quality for reading in warm),
            f"still doubted an hour after the {attempt}",
        )
        play.lose()
        play.open()


def k15_identity(subject: Subject) -> None:
    """After a re-open another device's bytes give nothing, and whoever speaks is named before its first value."""
    for one in live(subject):
        play = Play(subject, one.options, subject.vectors)
        play.turn(one.request, one.frame)
        if any(isinstance(event, Identified) for event in play.events):
            break  # a question may itself be the proof of identity: its own values come before
    _named(play, 0)
    play.lose()
    begin = len(play.events)
    play.open()
    for stranger in (_STRANGER, _TALKER):
        if stranger[:3] not in one.frame[:3] and stranger != one.frame:
            found = play.turn(one.request, stranger)
            ensure(
                not found or subject.chatty,
                f"another device's {stranger.hex(' ')[:60]} gives {sequence_of(found)} after a re-open",
            )
    for _ in range(3):
        play.turn(one.request, one.frame)
    _named(play, begin)


def _named(play: Play, begin: int) -> None:
    kinds = [event for event in play.events[begin:] if isinstance(event, Identified | Reading | Problem)]
    first = next((at for at, event in enumerate(kinds) if isinstance(event, Reading)), None)
    ensure(first is not None, "no reading after an open")
    ensure(any(isinstance(event, Identified) for event in kinds[:first]), "values flow before anybody is identified")
