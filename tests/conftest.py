"""What holds for every test."""

import signal


def pytest_configure() -> None:
    """Hear SIGINT, and so let children hear it, even where whoever started the tests in the background ignored it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
