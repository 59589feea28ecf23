"""A disk image behind FUSE: one file, held in memory; each write and each fsync that the kernel sends goes to the log.

It speaks the kernel's own protocol (``linux/fuse.h``, 7.31) on /dev/fuse, of which a single file needs little; so no
library is needed. Run as a process: ``python -m tests.faults.powercut.fuse IMAGE TARGET LOG``. It mounts over TARGET,
a file, says ``ready`` on stdout, and ends when TARGET is unmounted.
"""

import contextlib
import errno
import os
import stat
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from tests.faults.powercut.history import BlockWrite, Flush, Log
from tests.faults.powercut.mounts import mount

_MAJOR, _MINOR = 7, 31
_MOST_BYTES = 128 * 1024
_REQUEST_BYTES = _MOST_BYTES + 64 * 1024
_BIG_WRITES, _MAX_PAGES = 1 << 5, 1 << 22
_DIRECT_IO = 1
_ROOT_MODE = stat.S_IFREG | 0o600

_IN = struct.Struct("<IIQQIIIHH")
_OUT = struct.Struct("<IiQ")
_INIT_OUT = struct.Struct("<IIIIHHIIHH32x")
_ATTRIBUTES = struct.Struct("<QII QQQ QQQ III IIIIIII")
_OPEN_OUT = struct.Struct("<QII")
_TRANSFER_IN = struct.Struct("<QQIIQII")
_WRITE_OUT = struct.Struct("<II")
_STATFS_OUT = struct.Struct("<QQQQQIIII24x")

_NO_ANSWER = frozenset({2, 36, 42})  # FORGET, INTERRUPT, BATCH_FORGET


class Image:
    """Answers the kernel for one file."""

    def __init__(self, data: bytes, log: Log) -> None:
        self._data = bytearray(data)
        self._log = log
        self._answers: dict[int, Callable[[bytes], bytes]] = {
            3: self._attributes,
            4: self._attributes,  # SETATTR: times only; the image keeps its size
            14: lambda _: _OPEN_OUT.pack(0, _DIRECT_IO, 0),
            15: self._read,
            16: self._write,
            17: lambda _: _STATFS_OUT.pack(0, 0, 0, 1, 0, 4096, 255, 4096, 0),
            18: lambda _: b"",  # RELEASE
            20: self._flush,
            25: lambda _: b"",  # FLUSH: of a descriptor that is closed, not of the disk
            26: lambda _: _INIT_OUT.pack(
                _MAJOR, _MINOR, _MOST_BYTES, _BIG_WRITES | _MAX_PAGES, 16, 12, _MOST_BYTES, 1, _MOST_BYTES // 4096, 0
            ),
            38: lambda _: b"",  # DESTROY
        }

    def answer(self, request: bytes) -> bytes | None:
        """Return the reply to one request; None where the kernel waits for none."""
        _, opcode, unique, *_ = _IN.unpack_from(request)
        if opcode in _NO_ANSWER:
            return None
        answer = self._answers.get(opcode)
        if answer is None:
            return _OUT.pack(_OUT.size, -errno.ENOSYS, unique)
        body = answer(request[_IN.size :])
        return _OUT.pack(_OUT.size + len(body), 0, unique) + body

    def _attributes(self, _: bytes) -> bytes:
        size = len(self._data)
        return _ATTRIBUTES.pack(3600, 0, 0, 1, size, size // 512, 0, 0, 0, 0, 0, 0, _ROOT_MODE, 1, 0, 0, 0, 4096, 0)

    def _read(self, body: bytes) -> bytes:
        _, offset, size, *_ = _TRANSFER_IN.unpack_from(body)
        return bytes(self._data[offset : offset + size])

    def _write(self, body: bytes) -> bytes:
        _, offset, size, *_ = _TRANSFER_IN.unpack_from(body)
        data = body[_TRANSFER_IN.size : _TRANSFER_IN.size + size]
        self._data[offset : offset + size] = data
        self._log.append(BlockWrite(offset, data))
        return _WRITE_OUT.pack(size, 0)

    def _flush(self, _: bytes) -> bytes:
        self._log.append(Flush())
        return b""


def serve(image: Path, target: Path, log: Path) -> None:
    """Mount and answer until unmounted."""
    descriptor = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={descriptor},rootmode={_ROOT_MODE:o},user_id=0,group_id=0"
    mount("gardu-powercut", target, "fuse", options)
    file = Image(image.read_bytes(), Log(log))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        try:
            request = os.read(descriptor, _REQUEST_BYTES)
        except OSError as error:
            if error.errno == errno.ENODEV:  # unmounted
                return
            if error.errno in (errno.ENOENT, errno.EINTR):  # the request was taken back
                continue
            raise
        reply = file.answer(request)
        if reply is not None:
            with contextlib.suppress(FileNotFoundError):  # whoever asked is gone
                os.write(descriptor, reply)


if __name__ == "__main__":
    serve(*map(Path, sys.argv[1:4]))
