from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from center.acks import AckSettings
from tests.center.fake_node import FakeNode
from tests.center.harness import Center


@pytest.fixture
def center(tmp_path: Path) -> Iterator[Center]:
    made = Center(tmp_path / "center.db")
    yield made
    for store in made.opened:
        store.close()


@pytest.fixture
def node(center: Center) -> FakeNode:
    """A node that the center knows."""
    made = FakeNode()
    center.know(made)
    return made


@pytest.fixture
def make_center(tmp_path: Path) -> Iterator[Callable[[AckSettings], Center]]:
    made: list[Center] = []

    def make(settings: AckSettings) -> Center:
        made.append(Center(tmp_path / f"center{len(made)}.db", settings=settings))
        return made[-1]

    yield make
    for one in made:
        for store in one.opened:
            store.close()
