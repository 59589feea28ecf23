import os
import random
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.town import Town, Vandal, found


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = found(tmp_path)
    yield made
    made.end()


@pytest.fixture
def vandal(town: Town) -> Iterator[Vandal]:
    town.broker.start()
    made = Vandal(town)
    yield made
    made.leave()


@pytest.fixture
def chance() -> random.Random:
    """Chooses as GARDU_SEED says, else anew; the same seed chooses the same, the machine's timing stays its own."""
    seed = int(os.environ.get("GARDU_SEED") or secrets.randbits(32))
    print(f"choices: GARDU_SEED={seed}")
    return random.Random(seed)  # noqa: S311 - choices of a test, no secret
