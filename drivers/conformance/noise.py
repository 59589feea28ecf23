"""K9 and K18: a megabyte of noise and a million frames; memory and work stay bounded."""

import random
import tracemalloc
from collections.abc import Sequence

from drivers.conformance.play import NS, Play, live
from drivers.conformance.subject import NotApplicable, Subject, ensure
from drivers.driver import OptionValue

_MOST_HELD = 16_384  # the longest telegram there is, twice
_MOST_CHUNK = 700
_MOST_PAUSE_NS = 2 * NS
_PAUSES = 7
_COST_BYTES = 16_000  # beyond all buffers, so that they are full for most of it
_MOST_COST = 2.5  # for the double input
_COST_TRIES = 5
_GROWTH_BYTES = 65_536
_WARM_FRAMES = 50
_MEGABYTE = 1_000_000
_PER_MEGABYTE = 1  # readings that noise may make, behind a weak check and after a second frame
_SEED = 9


def k9_noise(subject: Subject) -> None:
    """Random bytes in random chunks at random times: no exception, a bounded buffer, linear cost, no false value."""
    for seed in range(_SEED, _SEED + subject.scale.seeds):
        chance = random.Random(seed)  # noqa: S311 - the same on each run
        pauses_ns = [chance.randrange(_MOST_PAUSE_NS) for _ in range(_PAUSES)]
        survives(subject, _chunks(chance, subject.scale.noise_bytes), pauses_ns)
    if subject.cpu_s is not None:
        _linear(subject)


def _chunks(chance: random.Random, size: int) -> list[bytes]:
    left, chunks = size, []
    while left:
        chunks.append(chance.randbytes(min(left, chance.randint(1, _MOST_CHUNK))))
        left -= len(chunks[-1])
    return chunks


def survives(subject: Subject, chunks: Sequence[bytes], pauses_ns: Sequence[int]) -> None:
    """Let noise come at any times; it must leave no trace but counters."""
    play = Play(subject, _options(subject), subject.vectors)
    play.settle()
    believed = 0
    for number, chunk in enumerate(chunks):
        if number % 2:
            play.listening()
        believed += sum(not reading.quality for reading in play.judged(play.hear(chunk)))
        held = getattr(play.driver, "held", 0)
        ensure(held <= _MOST_HELD, f"{held} bytes held after noise")
        if pauses_ns:
            play.now_ns += pauses_ns[number % len(pauses_ns)]
            due_ns = play.bus.deadline()
            if due_ns is not None and due_ns <= play.now_ns:
                play.step()
        play.events.clear()
        play.sent.clear()
    allowed = 0 if play.driver.info.integrity == "crc16" else _PER_MEGABYTE * (sum(map(len, chunks)) / _MEGABYTE + 1)
    ensure(
        believed <= allowed or subject.chatty,
        f"{believed} values believed from {sum(map(len, chunks))} random bytes",
    )


def _linear(subject: Subject) -> None:
    noise = random.Random(_SEED).randbytes(2 * _COST_BYTES)  # noqa: S311 - the same on each run
    for _ in range(_COST_TRIES):  # a busy machine may spoil one try, not each
        if (ratio := _ratio(subject, noise)) < _MOST_COST:
            return
    raise AssertionError(f"double the noise costs {ratio:.1f} times as much")


def _ratio(subject: Subject, noise: bytes) -> float:
    return _cost(subject, noise) / max(_cost(subject, noise[:_COST_BYTES]), 1e-9)


def _cost(subject: Subject, noise: bytes) -> float:
    play = Play(subject, _options(subject), subject.vectors)
    clock = subject.cpu_s
    ensure(clock is not None, "no clock")
    begun = clock() if clock else 0.0
    for at in range(0, len(noise), 64):
        play.bus.receive(noise[at : at + 64], play.now_ns)
    return (clock() if clock else 0.0) - begun


def k18_memory(subject: Subject) -> None:
    """Many frames: no growth."""
    one = live(subject)[0]
    play = Play(subject, one.options, subject.vectors)
    tracing = tracemalloc.is_tracing()
    before = 0
    for number in range(_WARM_FRAMES + subject.scale.frames):
        if number == _WARM_FRAMES:
            if not tracing:
                tracemalloc.start()
            before, _ = tracemalloc.get_traced_memory()
        play.turn(one.request, one.frame)
        play.events.clear()
        play.sent.clear()
    after, _ = tracemalloc.get_traced_memory()
    if not tracing:
        tracemalloc.stop()
    ensure(after - before <= _GROWTH_BYTES, f"{after - before} bytes more after {subject.scale.frames} frames")


def k11_lost_ports(subject: Subject) -> None:  # noqa: ARG001 - one signature for all checks
    """EOF, EIO and refused opens belong to the port, which is the same for all drivers."""
    raise NotApplicable("the port's, which is the same for all drivers: tests/drivers/io/test_serial_port.py")


def _options(subject: Subject) -> dict[str, OptionValue]:
    return dict(live(subject)[0].options)
