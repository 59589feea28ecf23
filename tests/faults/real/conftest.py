from collections.abc import Callable

import pytest

from tests.faults.real.card import MISSING
from tests.faults.real.place import FULL
from tests.faults.results import write_rows

_TITLE = "Real processes"
_NOTE = (
    "`gardu run`, `gardu-center run` and mosquitto with mutual TLS, sensors on pseudo-terminals, TCP proxies between"
    " all of them, the spool on an ext4 of a few MiB on a loop device."
)


@pytest.fixture(autouse=True)
def _loud_about_cards(say_loudly: Callable[[str], None]) -> None:
    if MISSING:
        say_loudly(f"full, read-only and dead disks of a real node: {MISSING}")


@pytest.fixture
def tell(show: Callable[[str, str], None]) -> Callable[[str, str], None]:
    """Give a function for what a test found: what it was, the result. A full run keeps it."""

    def found(what: str, result: str) -> None:
        print(f"{what}: {result}")
        show(_TITLE, f"{what}: {result}")
        if FULL:
            write_rows(_TITLE, _NOTE, ("what", "result"), [[what, result]], keys=1)

    return found
