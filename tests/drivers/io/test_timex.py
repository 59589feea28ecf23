import pytest

from drivers.io import timex
from drivers.io.timex import clock_state


def test_the_kernel_tells_the_state_of_its_clock() -> None:
    state = clock_state()
    assert state is not None
    assert 0 <= state.error_s <= 16.1


def test_a_c_library_without_the_call_gives_no_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timex, "_libc", object)
    assert clock_state() is None
