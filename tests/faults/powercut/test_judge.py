"""The judge itself: each thing that must never be is seen when it is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.spool.frames import parse_name
from agent.wire.batch import Kind, Stream
from tests.faults.powercut import truth
from tests.faults.powercut.center import opened
from tests.faults.powercut.files import whole, write_out
from tests.faults.powercut.history import History, Said
from tests.faults.powercut.judge import judge
from tests.faults.powercut.recording import record_files

_END = (3, Stream.TELEMETRY)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    return record_files(tmp_path_factory.mktemp("history"), seed=5, disk="sound")


@pytest.fixture
def card(history: History, tmp_path: Path) -> Path:
    """The spool's folder as it stands at the end of the history."""
    write_out(tmp_path / "card", whole(history))
    return tmp_path / "card"


@pytest.fixture
def said(history: History) -> Said:
    return history.said[-1]


def segments(card: Path, run: int, stream: Stream) -> list[Path]:
    return [
        path
        for path in sorted(card.iterdir())
        if (name := parse_name(path.name)) and (truth.number_of(name.run), name.stream) == (run, stream)
    ]


def test_the_record_of_the_calls_gives_the_files_that_were_written(tmp_path: Path) -> None:
    history = record_files(tmp_path, seed=6, disk="sound")
    there = {path.name: path.read_bytes() for path in (tmp_path / "spool").iterdir()}
    assert whole(history) == there


def test_a_card_that_lost_nothing_is_in_order(card: Path, said: Said) -> None:
    verdict = judge(card, said, honest=True)
    assert (verdict.lost, verdict.wrong, verdict.unclean, verdict.told) == ({}, [], True, frozenset())
    assert verdict.in_gaps


def test_the_workload_does_all_that_a_spool_does(history: History) -> None:
    phases = {said.phase for said in history.said}
    assert phases == {"starting", "taking", "making room", "taking over", "closing"}
    kinds = {opened(message).header.kind for message in history.said[-1].delivered}
    assert kinds >= {Kind.READINGS, Kind.START, Kind.GAP}


def test_a_promised_row_that_is_nowhere_is_counted(card: Path, said: Said) -> None:
    newest = segments(card, *_END)[-1]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    verdict = judge(card, replace(said, delivered=[]), honest=True)
    assert verdict.lost[_END]
    assert any("said to end at row" in line for line in verdict.wrong)


def test_a_segment_that_went_without_a_gap_is_seen(card: Path, said: Said) -> None:
    taken = [path for path in segments(card, 2, Stream.TELEMETRY) if path.stat().st_size > 4000]
    taken[0].unlink()
    unsent = replace(said, delivered=[])
    assert judge(card, unsent, honest=True).lost


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda said: replace(said, given={**said.given, _END: said.given[_END] - 5}), "were given"),
        (lambda said: replace(said, given={**said.given, (1, Stream.ALARM): 0}), "were given"),
        (lambda said: replace(said, ended=frozenset({3}), ending=frozenset({3})), "is said to be unclean"),
        (lambda said: replace(said, durable={**said.durable, (4, Stream.ALARM): 1}), "run 4 was promised"),
    ],
)
def test_what_was_not_so_is_seen(card: Path, said: Said, change: Callable[[Said], Said], complaint: str) -> None:
    assert any(complaint in line for line in judge(card, change(said), honest=True).wrong)


def test_a_row_with_another_value_is_seen(card: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    real = truth.rows
    monkeypatch.setattr(truth, "rows", lambda *where: [replace(row, value=1) for row in real(*where)])
    assert any("are not what was given" in line for line in judge(card, said, honest=False).wrong)


def test_a_card_that_forgot_what_the_center_has_is_told_by_the_center(card: Path, said: Said) -> None:
    for path in segments(card, *_END)[1:]:
        path.unlink()
    verdict = judge(card, said, honest=False)
    assert verdict.knows
    assert verdict.told >= {"grown"}
    assert verdict.wrong == []


def test_a_card_that_forgot_a_whole_run_is_told_by_the_center(card: Path, said: Said) -> None:
    for stream in Stream:
        for path in segments(card, 3, stream):
            path.unlink()
    verdict = judge(card, said, honest=False)
    assert verdict.told >= {"fork"}
    assert verdict.wrong == []


def test_bytes_of_another_segment_are_not_taken_for_rows_of_this_one(card: Path, said: Said) -> None:
    """As e2fsck leaves them when two files claim one block."""
    mixed = segments(card, *_END)[-1]
    others = b"".join(path.read_bytes() for path in segments(card, 2, Stream.TELEMETRY))
    mixed.write_bytes(mixed.read_bytes() + others)
    verdict = judge(card, said, honest=False)
    assert verdict.wrong == []
    assert verdict.damage


def test_a_card_that_came_back_empty_is_counted_apart(card: Path, said: Said) -> None:
    for path in card.iterdir():
        path.unlink()
    assert judge(card, said, honest=False).emptied
