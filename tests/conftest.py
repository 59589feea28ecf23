"""What holds for every test."""

import os
import signal


def pytest_configure() -> None:
    """Hear SIGINT, and so let children hear it, even where whoever started the tests in the background ignored it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # What was added to this machine is no part of what is tested, and no test may add to it: nothing can be made there.
    os.environ["GARDU_DRIVERS"] = "/proc/no-added-drivers"
