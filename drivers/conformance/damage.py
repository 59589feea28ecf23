"""K4 to K7: junk around frames, lost and flipped bytes. A damaged frame is never taken for a true one."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence

from drivers.conformance.play import Play, clean, live, places, run
from drivers.conformance.subject import NotApplicable, Subject, Vector, ensure
from drivers.driver import Channel, DriverInfo
from drivers.reading import Reading

_STRONG = "crc16"
_SHARE = 0.02  # values so near in their range agree, for the runtime as here
_STEP_S = 10.0  # longest time for which a step is allowed for
_COUNTER_S = 3600.0  # and of what only climbs
_ROW = 5
_LOST = 2
_BITS = 8
_SEED = 20

_FOREIGN = (
    bytes.fromhex("aac08c009400bcf9d5ab"),
    b"$GPGGA,184353.07,1929.045,S,02410.506,E,1,04,2.6,100.00,M,-33.9,M,,0000*6D\r\n",
    bytes.fromhex("01041408d1006c000000f400000026000001f4006400005134"),
    bytes.fromhex("ff07a1a7"),
)


def weak(subject: Subject, vector: Vector) -> bool:
    """Whether the check of a frame lets some damage pass, so that a second frame must confirm it."""
    return vector.check.startswith("none") or subject.make(vector.options).info.integrity != _STRONG


def k4_junk_around_frames(subject: Subject) -> None:
    """Noise, foreign frames and half frames before, between and after: all real frames found, nothing else."""
    if subject.chatty:
        raise NotApplicable(subject.chatty)
    # Some protocols cannot tell junk from the tail of a frame that began unheard; then a vector says so.
    unheard = any(
        subject.decode(no.options, [no.frame[1:]]).readings for no in subject.vectors if no.expect == "reject"
    )
    for one in live(subject):
        wanted = Counter(clean(subject, [one] * _ROW))
        for name, junk, costs in _junk(one):
            play = run(subject, [(one, [junk + one.frame + junk])] * _ROW)
            _only_true(subject, play, one, name)
            found = Counter((reading.channel, reading.value) for reading in play.readings)
            lost = sum(wanted.values()) - sum(found.values())
            per_frame = max(1, sum(wanted.values()) // _ROW)
            # A half frame may swallow the one behind it, and here each has one in front.
            ensure(lost == 0 or costs or unheard, f"{name}: {lost // per_frame} of {_ROW} frames lost")
            play.turn(one.request, one.frame)
            ensure(play.turn(one.request, one.frame), f"{name}: nothing is found even two frames later")


def _junk(vector: Vector) -> Iterator[tuple[str, bytes, bool]]:
    """Kinds of junk, and whether it may cost a frame. A unit that sends lines is met with whole lines of junk."""
    frame = vector.frame
    end = b"\r\n" if frame.endswith((b"\r", b"\n")) else b""
    yield "random bytes", random.Random(_SEED).randbytes(64) + end, True  # noqa: S311 - the same on each run
    yield "all 00", bytes(50) + end, False
    yield "all FF", b"\xff" * 50 + end, frame.startswith(b"\xff")
    yield "babble", b"boot v1.2 OK" + end, False
    yield "banner", b"RoHS 1.8b 0.9\r\n", False
    yield "its own beginning", frame[:2] * 8, True
    yield "half a frame", frame[: len(frame) // 2], True
    for foreign in _FOREIGN:
        if foreign[:1] != frame[:1]:
            yield "a frame of another driver", foreign + end, False


def k5_lost_doubled_and_swapped_bytes(subject: Subject) -> None:
    """One byte of the middle of five frames lost, doubled, or swapped with the next: at most two frames lost."""
    for one in live(subject):
        wanted = len(clean(subject, [one] * _ROW))
        per_frame = max(1, wanted // _ROW)
        for place in places(len(one.frame), max(8, subject.scale.places // 4)):
            for name, damaged in _slips(one.frame, place):
                frames = [one.frame] * (_ROW // 2) + [damaged] + [one.frame] * (_ROW // 2)
                play = run(subject, [(one, [frame]) for frame in frames])
                _only_true(subject, play, one, f"byte {place} {name}")
                lost = wanted - len(play.readings)
                ensure(lost <= _LOST * per_frame, f"byte {place} {name}: {lost // per_frame} frames lost")


def _slips(frame: bytes, at: int) -> Iterator[tuple[str, bytes]]:
    yield "lost", frame[:at] + frame[at + 1 :]
    yield "doubled", frame[: at + 1] + frame[at:]
    yield "swapped", frame[:at] + frame[at : at + 2][::-1] + frame[at + 2 :]


def k6_one_flipped_bit(subject: Subject) -> None:
    """Every single bit: no false reading; without a checksum none that a second frame has not confirmed."""
    for one in live(subject):
        bits = places(len(one.frame) * _BITS, 4 * subject.scale.places)
        flips = (_flipped(one.frame, [bit]) for bit in bits)
        strict = not one.check.startswith("none") and subject.make(one.options).info.integrity != "none"
        _damage(subject, one, flips, strict=strict)


def _flipped(frame: bytes, bits: Sequence[int]) -> bytes:
    flipped = bytearray(frame)
    for bit in bits:
        flipped[bit // _BITS] ^= 1 << bit % _BITS
    return bytes(flipped)


def k7_two_flipped_bits_and_bursts(subject: Subject) -> None:
    """Two bits or two bytes: none passes a CRC; what passes a sum is not confirmed."""
    for number, one in enumerate(live(subject)):
        chance = random.Random(_SEED + number)  # noqa: S311 - the same on each run
        _damage(subject, one, _doubles(one.frame, chance, subject.scale.flips), strict=not weak(subject, one))


def _doubles(frame: bytes, chance: random.Random, count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield _flipped(frame, chance.sample(range(len(frame) * _BITS), 2))
        at = chance.randrange(max(1, len(frame) - 1))
        yield (frame[:at] + chance.randbytes(2) + frame[at + 2 :])[: len(frame)]


def _damage(subject: Subject, vector: Vector, damaged: Iterator[bytes], *, strict: bool) -> None:
    """Damaged frames, true ones between them."""
    play = Play(subject, vector.options, subject.vectors)
    play.settle()
    truth = _truth(subject, vector)
    channels = {channel.name: channel for channel in play.driver.info.channels}
    between = 0 if strict else 2
    for _ in range(2 * _LOST):
        play.judged(play.turn(vector.request, vector.frame))
    for frame in damaged:
        if frame == vector.frame:
            continue
        found = play.judged(play.turn(vector.request, frame))
        for _ in range(between):
            found += play.judged(play.turn(vector.request, vector.frame))
        for reading in found:
            believed = _is_true(reading, truth) or (not strict and _harmless(reading, truth, channels))
            ensure(
                believed,
                f"{frame.hex()[:160]} for {vector.frame.hex()[:160]} gives {reading.channel} {reading.value!r}"
                f"{' unflagged' if not reading.quality else ''}",
            )


def _truth(subject: Subject, vector: Vector) -> dict[str, set[object]]:
    found: dict[str, set[object]] = {}
    for name, value in clean(subject, [vector] * _ROW):
        found.setdefault(name, set()).add(value)
    return found


def _is_true(reading: Reading, truth: dict[str, set[object]]) -> bool:
    return reading.value in truth.get(reading.channel, ())


def _harmless(reading: Reading, truth: dict[str, set[object]], channels: dict[str, Channel]) -> bool:
    """Flagged, or so near to a true value that two frames would agree on it."""
    channel, value = channels[reading.channel], reading.value
    if reading.quality:
        return True
    if isinstance(value, bool | str) or channel.kind in ("state", "text"):
        return False
    if channel.max_step_per_s is not None:
        near = channel.max_step_per_s * (_COUNTER_S if channel.kind == "counter" else _STEP_S)
    else:
        ranged = channel.low is not None and channel.high is not None
        near = ((channel.high or 0.0) - (channel.low or 0.0)) * _SHARE if ranged else 0.0
    known = truth.get(reading.channel, ())
    return any(isinstance(one, int | float) and abs(value - one) <= near * 1.001 for one in known)


def _only_true(subject: Subject, play: Play, vector: Vector, what: str) -> None:
    """No reading of a run but true ones; behind a weak check the runtime may have to doubt the others."""
    truth = _truth(subject, vector)
    info: DriverInfo = play.driver.info
    channels = {channel.name: channel for channel in info.channels}
    for reading in play.judged(play.readings):
        fine = _is_true(reading, truth) or (weak(subject, vector) and _harmless(reading, truth, channels))
        ensure(fine, f"{what}: {reading.channel} {reading.value!r} was never sent")
