"""The cards themselves: what each model may take from a history, and what it may not."""

import random
from collections.abc import Sequence

import pytest

from agent.wire.batch import Stream
from tests.faults.powercut.files import FileCuts
from tests.faults.powercut.history import (
    BlockWrite,
    Create,
    Flush,
    History,
    Record,
    Rename,
    Resize,
    Said,
    Sync,
    SyncFolder,
    Unlink,
    Write,
)
from tests.faults.powercut.models import SECTOR_BYTES, BlockCuts, Model, choose_cuts

_BLOCK = 4096
_SEEDS = range(60)


def dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - choices of a test, no secret


def history(records: Sequence[Record], phases: Sequence[str] = ()) -> History:
    given = {(1, Stream.TELEMETRY): 1}
    said = [Said(phase=phases[at] if at < len(phases) else "taking", given=given) for at in range(len(records) + 1)]
    return History(list(records), said)


def block(at: int, letter: bytes) -> BlockWrite:
    return BlockWrite(at * _BLOCK, letter * _BLOCK)


def blocks(model: Model, records: Sequence[Record], cut: int) -> set[tuple[bytes, ...]]:
    """Return what four blocks may hold after a cut, as sets of their letters."""
    found = set()
    for seed in _SEEDS:
        card = BlockCuts(b"-" * 4 * _BLOCK, history(records), model, dice(seed)).state(cut)
        found.add(tuple(bytes(sorted(set(card[at : at + _BLOCK]))) for at in range(0, len(card), _BLOCK)))
    return found


def files(model: Model, records: Sequence[Record], cut: int | None = None) -> list[dict[str, bytes]]:
    at = len(records) if cut is None else cut
    return [FileCuts(history(records), model, dice(seed)).state(at) for seed in _SEEDS]


WRITES: list[Record] = [block(0, b"a"), block(1, b"b"), Flush(), block(2, b"c"), block(3, b"d")]


def test_prefix_keeps_all_but_tears_the_last_write() -> None:
    assert blocks(Model.PREFIX, WRITES, 5) == {
        (b"a", b"b", b"c", last) for last in (b"-", b"-d", b"d")
    }  # fmt: skip
    assert blocks(Model.PREFIX, WRITES, 3) == {(b"a", b"b", b"-", b"-")}


def test_reorder_keeps_what_a_flush_covered_and_any_of_the_rest() -> None:
    found = blocks(Model.REORDER, WRITES, 5)
    assert {(first, second) for first, second, _, _ in found} == {(b"a", b"b")}
    assert {(b"-", b"d"), (b"c", b"-"), (b"c", b"d"), (b"-", b"-")} <= {
        (third, fourth) for _, _, third, fourth in found
    }


def test_a_lying_card_forgets_what_a_flush_covered_but_no_write_older_than_64() -> None:
    old: list[Record] = [block(0, b"a"), *(block(1, b"x") for _ in range(62)), block(2, b"c"), Flush(), block(3, b"d")]
    found = blocks(Model.LYING, old, len(old))
    assert {first for first, _, _, _ in found} == {b"a"}
    assert b"-" in {third for _, _, third, _ in found}


def test_a_torn_write_is_torn_between_sectors() -> None:
    for seed in _SEEDS:
        card = BlockCuts(b"-" * _BLOCK, history([block(0, b"a")]), Model.PREFIX, dice(seed)).state(1)
        sectors = [card[at : at + SECTOR_BYTES] for at in range(0, _BLOCK, SECTOR_BYTES)]
        assert all(len(set(sector)) == 1 for sector in sectors)


def test_rot_changes_one_sector_and_nothing_else() -> None:
    for seed in _SEEDS:
        card = BlockCuts(b"-" * 4 * _BLOCK, history(WRITES), Model.ROT, dice(seed)).state(5)
        whole = b"".join(letter * _BLOCK for letter in (b"a", b"b", b"c", b"d"))
        sectors = range(0, len(whole), SECTOR_BYTES)
        assert sum(card[at : at + SECTOR_BYTES] != whole[at : at + SECTOR_BYTES] for at in sectors) == 1


def test_states_built_one_upon_the_other_are_those_built_alone() -> None:
    for model in (Model.PREFIX, Model.REORDER):
        together = BlockCuts(b"-" * 4 * _BLOCK, history(WRITES), model, dice(1))
        for cut in (3, 3):  # behind the flush all is sure, whatever came before
            alone = BlockCuts(b"-" * 4 * _BLOCK, history(WRITES), model, dice(2))
            assert together.state(cut) == alone.state(cut)


def test_every_moment_of_a_phase_is_cut_before_any_is_cut_twice() -> None:
    made = history([Flush()] * 9, ["starting"] * 2 + ["taking"] * 8)
    cuts = choose_cuts(made, 40, dice(1))
    assert len(cuts) == 40
    assert cuts == sorted(cuts)
    assert set(cuts) == set(range(10))
    assert choose_cuts(made, 2, dice(1), phase="starting") == [0, 1]


NEW: list[Record] = [Create("a", 1), Write(1, 0, b"x" * 2000)]


def test_a_file_that_was_synced_is_there_once_its_folder_was() -> None:
    assert {"a" in found for found in files(Model.REORDER, [*NEW, Sync(1)])} == {True, False}
    assert files(Model.REORDER, [*NEW, Sync(1), SyncFolder()]) == [{"a": b"x" * 2000}] * len(_SEEDS)


def test_a_name_is_kept_without_its_bytes_when_only_the_folder_was_synced() -> None:
    found = {one["a"] for one in files(Model.REORDER, [*NEW, SyncFolder()])}
    assert {b"", b"x" * 2000} < found


def test_names_that_went_or_changed_come_back_until_the_folder_was_synced() -> None:
    kept: list[Record] = [*NEW, Sync(1), SyncFolder()]
    assert {tuple(one) for one in files(Model.REORDER, [*kept, Unlink("a")])} == {("a",), ()}
    assert {tuple(one) for one in files(Model.REORDER, [*kept, Rename("a", "b")])} == {("a",), ("b",)}
    assert {tuple(one) for one in files(Model.REORDER, [*kept, Rename("a", "b"), SyncFolder()])} == {("b",)}


def test_a_cut_file_is_long_again_until_it_was_synced() -> None:
    kept: list[Record] = [*NEW, Sync(1), SyncFolder(), Resize(1, 10)]
    assert {len(one["a"]) for one in files(Model.REORDER, kept)} == {10, 2000}
    assert {len(one["a"]) for one in files(Model.REORDER, [*kept, Sync(1)])} == {10}


def test_files_of_a_lying_card_may_be_forgotten_although_they_were_synced() -> None:
    assert {"a" in found for found in files(Model.LYING, [*NEW, Sync(1), SyncFolder()])} == {True, False}


def test_only_the_last_call_is_cut_when_all_arrives_in_order() -> None:
    whole = {"a": b"x" * 2000}
    assert files(Model.PREFIX, [*NEW, Create("b", 2)], 3).count(whole) > 5
    assert all(found.items() >= whole.items() for found in files(Model.PREFIX, [*NEW, Create("b", 2)], 3))


@pytest.mark.parametrize("model", list(Model))
def test_before_anything_happened_a_folder_is_empty(model: Model) -> None:
    assert files(model, NEW, 0) == [{}] * len(_SEEDS)
