import subprocess
import sys

_PROGRAM = """
import threading
from pathlib import Path
from drivers.io.arena import share_one_heap
if {shares}:
    share_one_heap()
def work():
    held.append([bytearray(1000) for _ in range(2000)])
held, gate = [], threading.Event()
threads = [threading.Thread(target=lambda: (work(), gate.wait())) for _ in range(4)]
for thread in threads:
    thread.start()
while len(held) < 4:
    pass
# glibc maps each further heap as a reservation of 64 MiB
text = Path("/proc/self/maps").read_text()
starts = [int(line.split()[0].split("-")[0], 16) for line in text.splitlines()]
print(sum(start % (64 << 20) == 0 for start in starts))
gate.set()
"""


def _heaps(shares: bool) -> int:  # noqa: FBT001 - read at its two calls only
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(shares=shares)], capture_output=True, text=True, check=True, timeout=60
    )
    return int(run.stdout)


def test_threads_share_one_heap_once_it_is_asked_for() -> None:
    assert _heaps(shares=True) < _heaps(shares=False)
