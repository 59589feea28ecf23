import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.seal import Moment, Sealer
from agent.spool import frames
from agent.spool.disk import Disk
from agent.spool.frames import BatchFacts, FrameKind, Head, Mark, Name
from agent.spool.spool import Facts, Settings, Spool
from agent.wire.batch import Clock, Kind, Stream, peek
from agent.wire.bodies import ChainSpan, End, Gap, Span
from agent.wire.keys import Signer, public_to_pem
from agent.wire.records import change_key
from tests.agent.wire.craft import (
    AT_UTC_MS,
    BOOT,
    CITY,
    NEW_KEY,
    NODE,
    NODE_KEY,
    ROWS,
    RUN_A,
    RUN_B,
    START,
    STRANGER,
    Chain,
    message,
    previous,
    rows,
)


def pem(folder: Path, key: Signer = NODE_KEY, name: str = "node.pub.pem") -> str:
    path = folder / name
    path.write_text(public_to_pem(key.public))
    return str(path)


def life(batches: int = 4) -> tuple[Chain, list[bytes]]:
    chain = Chain(run=RUN_A)
    return chain, [chain.start(), *(chain.readings(rows(2, first_ms=i * 10_000)) for i in range(batches))]


def files(folder: Path, messages: list[bytes]) -> str:
    inside = folder / "batches"
    inside.mkdir()
    for at, data in enumerate(messages):
        (inside / f"{at:02}.cbor").write_bytes(data)
    return str(inside)


def segment(
    folder: Path,
    messages: list[bytes],
    *,
    counter: int = 1,
    extra: Sequence[bytes] = (),
    torn: bytes = b"",
    run: bytes = RUN_A,
) -> Path:
    """Write a spool segment as the spool does; return its path."""
    first = peek(messages[0])
    end = End(n=first.n - 1, hash=first.prev, seq=first.seq0 - 1)
    made = [frames.encode_head(Head(node=f"{CITY}/{NODE}", boot=BOOT, end=end, at_boot_ms=1, at_utc_ms=None))]
    for one in messages:
        header = peek(one)
        facts = BatchFacts(n=header.n, seq0=header.seq0, count=header.count, kind=header.kind, origin=header.origin)
        made.append(frames.encode_batch(facts, one, copied=header.run != run))
    name = Name(counter=counter, run=run, stream=Stream.TELEMETRY, seq0=first.seq0)
    path = folder / "spool" / str(name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(frames.bind(name, [*made, *extra]) + torn)
    return path


def verdict(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object]]:
    code = main(["verify", *words, "--json"])
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return code, found


def bad(found: dict[str, object]) -> list[tuple[str | None, int | None, str]]:
    listed = found["bad"]
    assert isinstance(listed, list)
    return [(None if one["file"] is None else Path(one["file"]).name, one["offset"], one["reason"]) for one in listed]


def test_a_whole_chain_in_a_folder_is_proven(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, messages = life()
    assert main(["verify", files(tmp_path, messages), "--key", pem(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "bandung/dago-01  run aaaaaaaa telemetry: n 1-5 here; rows 1-8 of 8",
        "proven: 5 batches, 8 rows",
    ]


def test_one_message_alone_is_proven(tmp_path: Path) -> None:
    _, messages = life()
    path = tmp_path / "one.cbor"
    path.write_bytes(messages[2])
    assert main(["verify", str(path), "--key", pem(tmp_path)]) == 0


def test_the_first_bad_record_is_named_with_its_place_and_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, messages = life()
    messages[2] = messages[2][:-1] + bytes([messages[2][-1] ^ 1])
    folder = files(tmp_path, messages)
    assert main(["verify", folder, "--key", pem(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == (
        f"first bad: {folder}/02.cbor, run aaaaaaaa telemetry n 3: digest: the body is not the one that was signed"
    )
    assert lines[-1].startswith("NOT proven: 2 bad, 4 good batches")


def test_a_stranger_s_key_proves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, messages = life(1)
    code, found = verdict(capsys, files(tmp_path, messages), "--key", pem(tmp_path, STRANGER))
    assert code == 1
    assert [reason for _, _, reason in bad(found)] == ["kid_unknown", "kid_unknown"]


def test_garbage_is_bad_and_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, messages = life()
    code, found = verdict(capsys, files(tmp_path, [*messages, b"garbage"]), "--key", pem(tmp_path))
    assert (code, bad(found), found["batches"]) == (1, [("05.cbor", 0, "form")], 5)


def test_a_batch_in_the_middle_that_is_not_here_is_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, messages = life()
    code, found = verdict(capsys, files(tmp_path, [*messages[:2], *messages[3:]]), "--key", pem(tmp_path))
    assert (code, bad(found)) == (1, [(None, None, "missing")])


def test_batches_before_the_first_are_bad_only_when_all_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, messages = life()
    words = [files(tmp_path, messages[2:]), "--key", pem(tmp_path)]
    assert verdict(capsys, *words)[0] == 0
    code, found = verdict(capsys, *words, "--complete")
    assert (code, [reason for _, _, reason in bad(found)]) == (1, ["missing", "missing"])


def test_a_gap_that_is_signed_is_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain, messages = life()
    first, last = peek(messages[2]), peek(messages[4])
    lost = ChainSpan(run=RUN_A, first=3, last=3, prev=first.prev, hash=peek(messages[3]).prev)
    gap = Gap(
        chains=(lost,),
        rows=(Span(origin=RUN_A, first=3, last=4),),
        from_utc_ms=None,
        to_utc_ms=None,
        reason="full",
    )
    assert last.n == 5
    kept = [*messages[:2], *messages[3:], chain.record(Kind.GAP, gap.encode())]
    assert main(["verify", files(tmp_path, kept), "--key", pem(tmp_path), "--complete"]) == 0
    assert "n 3 in signed gaps; rows 1-2, 5-8 of 8; rows 3-4 in signed gaps" in capsys.readouterr().out


def test_a_copied_card_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain, messages = life()
    heir = Chain(run=RUN_B)
    start = heir.start(START.__class__(previous=previous(chain, clean=False, seq=8)))
    grown = chain.readings(rows(1, first_ms=90_000))
    folder = files(tmp_path, [*messages, start, grown])
    code, found = verdict(capsys, folder, "--key", pem(tmp_path))
    assert (code, bad(found)) == (1, [("06.cbor", 0, "grown")])
    main(["verify", folder, "--key", pem(tmp_path)])
    assert "ended without a farewell; 1 faults" in capsys.readouterr().out


def test_a_run_that_is_only_named_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain, _ = life()
    heir = Chain(run=RUN_B)
    start = heir.start(START.__class__(previous=previous(chain, clean=True, seq=8)))
    assert main(["verify", files(tmp_path, [start]), "--key", pem(tmp_path)]) == 0
    assert "run aaaaaaaa telemetry: named, nothing of it here; n 1-5 not here" in capsys.readouterr().out


def test_what_a_run_in_memory_had_and_did_not_bring_is_told_and_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card, messages = life()
    memory = Chain(run=RUN_B)
    left = (Span(origin=RUN_A, first=9, last=10),)
    start = replace(START, previous=previous(card, clean=False, seq=8), taken_over=left, volatile=True)
    made = [memory.start(start), *(memory.readings(rows(2, first_ms=at)) for at in (70_000, 80_000, 90_000))]
    words = [files(tmp_path, [*messages, made[0], made[1], made[3]]), "--key", pem(tmp_path), "--complete"]
    assert main(["verify", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "rows 1-8 of 10; rows 9-10 not here, and never on disk" in lines[0]
    assert "in memory only, its disk refused; n 1-2, 4 here" in lines[1]
    code, found = verdict(capsys, *words)
    chains = found["chains"]
    assert isinstance(chains, list)
    facts = [(one["volatile"], one["lost_in_memory"], one["missing_rows"]) for one in chains if one["taken"]]
    assert (code, facts) == (0, [(False, [[9, 10]], []), (True, [[3, 4]], [])])


def test_a_key_record_brings_the_next_key(tmp_path: Path) -> None:
    alarm = Chain(run=RUN_A, stream=Stream.ALARM)
    change = change_key(NEW_KEY, old=NODE_KEY.public, city=CITY, node=NODE)
    old = [alarm.start(), alarm.record(Kind.KEY, change.encode())]
    new = Chain(run=RUN_B, key=NEW_KEY).start()
    assert main(["verify", files(tmp_path, [new, *old]), "--key", pem(tmp_path)]) == 0


def test_two_keys_may_be_given(tmp_path: Path) -> None:
    _, messages = life()
    new = Chain(run=RUN_B, key=NEW_KEY).start()
    words = [files(tmp_path, [*messages, new]), "--key", pem(tmp_path)]
    assert main(["verify", *words]) == 1
    assert main(["verify", *words, "--key", pem(tmp_path, NEW_KEY, "new.pem")]) == 0


@pytest.mark.parametrize("words", [("--city", "surabaya"), ("--node", "dago-02")])
def test_another_city_or_node_is_refused_when_one_is_given(
    words: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, messages = life(0)
    code, found = verdict(capsys, files(tmp_path, messages), "--key", pem(tmp_path), *words)
    assert (code, [reason for _, _, reason in bad(found)]) == (1, ["signature"])


def test_a_record_without_its_fields_is_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = verdict(capsys, files(tmp_path, [message(b"{}", changes={"kind": 2})]), "--key", pem(tmp_path))
    assert (code, [reason for _, _, reason in bad(found)]) == (1, ["body"])


# -- spool ------------------------------------------------------------------------------------------------------------


def test_a_spool_folder_is_proven(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, messages = life(6)
    waiting = [frames.encode_rows(13, rows(3)), frames.encode_rows(1, rows(2))]
    segment(tmp_path, messages[:4])
    path = segment(tmp_path, messages[4:], counter=2, extra=waiting, torn=b"\x01torn")
    (path.parent / "lock").write_text("")
    assert main(["verify", str(path.parent), "--key", pem(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "bandung/dago-01  run aaaaaaaa telemetry: n 1-7 here; rows 1-12 of 12",
        "3 rows are not sealed yet: they prove nothing",
        "5 bytes at the end of a segment are torn: a power cut, not a fault",
        "proven: 7 batches, 12 rows",
    ]


def test_one_segment_is_read_anywhere_and_under_its_own_name_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, messages = life()
    path = segment(tmp_path, messages, extra=[frames.encode_rows(9, rows(2))])
    moved = path.rename(tmp_path / path.name)
    assert main(["verify", str(moved), "--key", pem(tmp_path)]) == 0
    capsys.readouterr()
    code, found = verdict(capsys, str(moved.rename(tmp_path / "copy.bin")), "--key", pem(tmp_path))
    assert (code, found["batches"], [file for file, _, _ in bad(found)]) == (1, 0, ["copy.bin"])


def test_damage_inside_a_segment_is_named_with_its_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, messages = life()
    path = segment(tmp_path, messages)
    name = frames.parse_name(path.name)
    assert name is not None
    data = bytearray(path.read_bytes())
    found = [frame for frame in frames.frames(name, bytes(data)) if frame.kind == FrameKind.BATCH]
    data[found[2].offset + 50] ^= 1
    path.write_bytes(data)
    code, told = verdict(capsys, str(path), "--key", pem(tmp_path))
    assert (code, bad(told)) == (1, [(path.name, found[2].offset, "damaged"), (None, None, "missing")])
    main(["verify", str(path), "--key", pem(tmp_path)])
    assert f"at byte {found[2].offset}, segment: damaged" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [FrameKind.ROWS, FrameKind.MARK])
@pytest.mark.parametrize("body", [b"", b"\x00", b"\x82\x01\x02", b"\x84\x01\x02\x03\x04"])
def test_a_frame_that_somebody_made_up_is_bad_and_ends_nothing(
    kind: FrameKind, body: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, messages = life()
    path = segment(tmp_path, messages, extra=[frames.encode(kind, body)])
    code, found = verdict(capsys, str(path), "--key", pem(tmp_path))
    assert (code, found["batches"], [reason for _, _, reason in bad(found)]) == (1, 5, ["form"])


def test_batches_that_the_center_has_may_be_gone_from_a_spool(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, messages = life()
    kept = [messages[0], messages[4]]
    mark = frames.encode_mark(Mark(run=RUN_A, stream=Stream.TELEMETRY, n=2, ranges=((3, 4),)))
    path = segment(tmp_path, kept, extra=[mark])
    assert main(["verify", str(path.parent), "--key", pem(tmp_path)]) == 0
    assert main(["verify", str(path.parent), "--key", pem(tmp_path), "--complete"]) == 1
    assert "n 2-4 not here" in capsys.readouterr().out


def test_a_copy_carried_forward_counts_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain, messages = life()
    heir = Chain(run=RUN_B)
    start = heir.start(START.__class__(previous=previous(chain, clean=True, seq=8)))
    segment(tmp_path, messages)
    path = segment(tmp_path, [start, messages[0]], counter=2, run=RUN_B)
    code, found = verdict(capsys, str(path.parent), "--key", pem(tmp_path))
    assert (code, found["batches"]) == (0, 6)


def test_a_spool_that_the_agent_wrote_is_proven_with_all_its_gaps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    settings = Settings(telemetry_cap=64 * 1024, alarm_cap=64 * 1024, free_disk=0, segment=8192)
    for life_no, run in enumerate((RUN_A, RUN_B)):
        sealer = Sealer(city=CITY, node=NODE, run=run, signer=NODE_KEY)
        spool = Spool(Disk(folder), sealer, settings, Facts(version="0.1.0"))
        spool.open()
        for step in range(1, 61):
            boot_ms = (life_no * 60 + step) * 1000
            moment = Moment(boot=BOOT, boot_ms=boot_ms, utc_ms=AT_UTC_MS + boot_ms, clock=Clock.SYNCHRONISED)
            new = [
                replace(ROWS[0], boot_ms=boot_ms - back, value=(boot_ms * 7919 + back * back) / 977)
                for back in range(40, 0, -1)
            ]
            seal = frozenset({Stream.TELEMETRY} if step % 5 == 4 else ())
            spool.commit({Stream.TELEMETRY: new}, moment=moment, seal=seal)
    code, found = verdict(capsys, str(folder), "--key", pem(tmp_path), "--complete")
    assert (code, bad(found)) == (0, [])
    chains = found["chains"]
    assert isinstance(chains, list)
    assert [chain["taken"] for chain in chains if chain["stream"] == "telemetry"] == [2400, 2360]
    assert any(chain["rows_in_gaps"] for chain in chains)
    assert found["unsealed_rows"] == 40


# -- unreadable -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_read_is_told_apart_from_what_is_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = pem(tmp_path)
    assert main(["verify", str(tmp_path / "nothing"), "--key", key]) == 2
    assert "No such file" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["verify", str(tmp_path / "empty"), "--key", key]) == 2
    assert "there is no batch" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"\xff", b"-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----\n"])
def test_a_key_that_is_none_is_unreadable(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    assert main(["verify", str(tmp_path), "--key", str(path)]) == 2
    assert "the key cannot be read" in capsys.readouterr().err
