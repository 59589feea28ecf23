"""K9 and K18: megabytes of noise and a million frames; memory and work stay bounded."""

import gc
import random
import sys
from collections.abc import Sequence
from types import FunctionType, ModuleType

from drivers.conformance.floods import FLOODS, Toll, endure, flood
from drivers.conformance.play import Play, live
from drivers.conformance.strength import at_most, believed_per_mb, taken_per_mb
from drivers.conformance.subject import NotApplicable, Subject, ensure
from drivers.driver import OptionValue

_MOST_HELD = 16_384  # the longest telegram there is, twice
_COST_BYTES = 16_000  # beyond all buffers, so that they are full for most of it
_MOST_COST = 2.5  # for the double input
_COST_TRIES = 5
_GROWTH_BYTES = 65_536
_GROWTH_BLOCKS = 1_000
_WARM_FRAMES = 50
_FRAMES_IN_CHUNK = 10
_SEED = 9


def k9_noise(subject: Subject) -> None:
    """Noise of all kinds in random chunks at random times: no exception, a bounded buffer, few false values."""
    info = subject.info()
    for kind in FLOODS:
        seeds = subject.scale.seeds if kind == "random" else 1
        for seed in range(_SEED, _SEED + seeds):
            toll = flood(subject, kind, subject.scale.noise_bytes, seed)
            _bounded(toll)
            words = f"values from {toll.size_bytes} bytes of noise ({kind}), declared are"
            believed = at_most(believed_per_mb(info), toll.size_bytes)
            ensure(toll.believed <= believed, f"{toll.believed} believed {words} {believed}")
            if kind == "random":
                taken = at_most(taken_per_mb(info) * max(1, len(info.channels)), toll.size_bytes)
                ensure(toll.taken <= taken, f"{toll.taken} {words} {taken}")
    if subject.cpu_s is not None:
        _linear(subject)


def survives(subject: Subject, chunks: Sequence[bytes], pauses_ns: Sequence[int]) -> None:
    """Let any bytes come at any times; a weak check may let one composed frame pass."""
    toll = endure(subject, chunks, pauses_ns)
    _bounded(toll)
    allowed = (
        0 if subject.info().integrity == "crc16" else 1 + at_most(believed_per_mb(subject.info()), toll.size_bytes)
    )
    ensure(toll.believed <= allowed, f"{toll.believed} values believed from {toll.size_bytes} bytes")


def _bounded(toll: Toll) -> None:
    ensure(toll.most_held <= _MOST_HELD, f"{toll.most_held} bytes held after noise")


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
    """Many frames: no growth, neither of what the driver holds nor of anything else."""
    one = live(subject)[0]
    play = Play(subject, one.options, subject.vectors)
    chunk = one.frame * (_FRAMES_IN_CHUNK if play.talks else 1)
    before_bytes = before_blocks = 0
    for number in range(0, _WARM_FRAMES + subject.scale.frames, len(chunk) // len(one.frame)):
        if number == _WARM_FRAMES:
            before_bytes, before_blocks = _weight(play), _blocks()
        play.turn(one.request, chunk)
        play.events.clear()
        play.sent.clear()
    more_bytes, more_blocks = _weight(play) - before_bytes, _blocks() - before_blocks
    words = f"more after {subject.scale.frames} frames"
    ensure(more_bytes <= _GROWTH_BYTES, f"the driver holds {more_bytes} bytes {words}")
    ensure(more_blocks <= _GROWTH_BLOCKS, f"{more_blocks} objects {words}")


def _blocks() -> int:
    """Pieces of memory in use. Counting them costs nothing, so that a million frames pass at full speed."""
    gc.collect()
    return sys.getallocatedblocks()


def _weight(root: object) -> int:
    """Bytes of all objects that can be reached; code and what it imports do not count."""
    seen: set[int] = set()
    waiting = [root]
    total = 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type | ModuleType):
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        waiting += [one.__closure__, one.__defaults__] if isinstance(one, FunctionType) else gc.get_referents(one)
    return total


def k11_lost_ports(subject: Subject) -> None:  # noqa: ARG001 - one signature for all checks
    """EOF, EIO and refused opens belong to the port, which is the same for all drivers."""
    raise NotApplicable("the port's, the same for all drivers: tests/agent/test_port_faults.py, test_replugging.py")


def _options(subject: Subject) -> dict[str, OptionValue]:
    return dict(live(subject)[0].options)
