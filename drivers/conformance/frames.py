"""K1, K2, K3, K8: what frames mean, however they are cut; and what means nothing."""

from drivers.conformance.play import (
    NS,
    Play,
    bytewise,
    clean,
    cut,
    groups,
    live,
    places,
    run,
    same,
    sequence_of,
    values_of,
)
from drivers.conformance.subject import NotApplicable, Subject, Vector, ensure
from drivers.driver import Problem, Rejected

_CHUNK = 4096
_ROW = 3


def k1_each_frame_means_what_was_published(subject: Subject) -> None:
    """Each frame alone: values, units, declared channels; by `decode`, and over the wire where it is asked for."""
    for one in subject.vectors:
        if one.expect != "reading":
            continue
        found = subject.decode({**one.options, **one.decoding}, [one.frame]).readings
        words = f"{one.frame.hex()[:80]} is {dict(one.values)}, decoded as"
        ensure(same(values_of(found), one.values), f"{words} {values_of(found)}")
        units = {reading.channel: reading.unit for reading in found}
        ensure(all(units[name] == unit for name, unit in one.units.items()), f"{words} {units}")
    for one in live(subject):
        play = Play(subject, one.options, subject.vectors)
        found = tuple(play.turn(one.request, one.frame))
        declared = {channel.name: channel.unit for channel in play.driver.info.channels}
        for reading in found:
            ensure(reading.channel in declared, f"channel {reading.channel} is not declared")
            ensure(reading.unit == declared[reading.channel], f"{reading.channel} in {reading.unit}, not as declared")
            ensure(reading.boot_ns == play.now_ns, f"{reading.channel} does not carry the moment of its last byte")


def k2_cut_anywhere(subject: Subject) -> None:
    """Split at every boundary and byte by byte; three frames in a row."""
    for one in live(subject):
        wanted = clean(subject, [one])
        for place in places(len(one.frame) + 1, subject.scale.places):
            found = sequence_of(run(subject, [(one, cut(one.frame, place))]).readings)
            ensure(found == wanted, f"cut at {place}: {found}, whole: {wanted}")
        row = sequence_of(run(subject, [(one, bytewise(one.frame))] * _ROW).readings)
        ensure(row == clean(subject, [one] * _ROW), f"byte by byte, {_ROW} in a row: {row}")


def k3_many_frames_in_a_chunk(subject: Subject) -> None:
    """All frames at once, and chunks of 4096 bytes."""
    for group in groups(subject):
        if Play(subject, group[0].options).talks:
            _at_once(subject, group)
            _big_chunks(subject, group)
            continue
        for one in group:  # who was asked once answers once
            found = sequence_of(run(subject, [(one, [one.frame * 2]), (one, [one.frame])]).readings)
            ensure(found == clean(subject, [one, one]), f"an answer said twice in one chunk gives {found}")


def _at_once(subject: Subject, group: list[Vector]) -> None:
    first, second = (Play(subject, group[0].options) for _ in range(2))
    first.now_ns = second.now_ns = 2 * NS
    first.bus.receive(b"", NS)
    together = first.bus.receive(b"".join(one.frame for one in group), 2 * NS)
    apart = [event for one in group for event in second.bus.receive(one.frame, 2 * NS)]
    ensure(together == apart, f"{len(group)} frames in one chunk mean something else than one by one")


def _big_chunks(subject: Subject, group: list[Vector]) -> None:
    """The last byte of a frame gives the moment, so frames are fed to a second driver at those moments."""
    frames = [one.frame for one in group] * (2 * _CHUNK // sum(len(one.frame) for one in group) + 2)
    stream = b"".join(frames)
    every_ns = round(subject.info().every_s * NS)
    first, second = (Play(subject, group[0].options) for _ in range(2))
    chunked = [
        event
        for number, at in enumerate(range(0, len(stream), _CHUNK))
        for event in first.bus.receive(stream[at : at + _CHUNK], (number + 2) * every_ns)
    ]
    framed, end = [], 0
    for frame in frames:
        end += len(frame)
        framed += second.bus.receive(frame, ((end - 1) // _CHUNK + 2) * every_ns)
    ensure(chunked == framed, f"chunks of {_CHUNK} bytes mean something else than frame by frame")


def k8_what_is_no_reading(subject: Subject) -> None:
    """Refused and valueless frames: no reading, no exception, and a reason."""
    silent = [one for one in subject.vectors if one.expect != "reading"]
    if not silent:
        raise NotApplicable("no vector without a reading")
    for one in silent:
        words = f"{one.frame.hex()[:80]} is {one.expect}, but"
        decoded = subject.decode({**one.options, **one.decoding}, [one.frame])
        ensure(not decoded.readings, f"{words} decoded as {values_of(decoded.readings)}")
        ensure(decoded.reasons or one.helps, f"{words} decode gives no reason")
        for request in Play(subject, one.options, subject.vectors).asked():
            play = Play(subject, one.options, subject.vectors)
            found = play.turn(request, one.frame)
            ensure(not found, f"{words} read as {values_of(found)} in answer to {request.hex(' ')}")
            _counted(play, one)


def _counted(play: Play, vector: Vector) -> None:
    """What never became a frame is given up with the port, or with the question."""
    frames = play.bus.counters.frames
    if not play.talks:
        play.step()
    play.lose()
    said = any(isinstance(event, Problem | Rejected) for event in play.events)
    counted = frames or play.bus.counters.rejected or play.bus.counters.timeouts
    ensure(said or counted, f"{vector.frame.hex()[:80]} vanished without a trace")
