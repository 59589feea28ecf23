"""The daemon's side of notes: a local socket on which people hand them in, and the folder of those that waited.

A client sends one line, the JSON body of a note (wire format, kind 5) with its id, and gets one line: once the note is
signed and synced ``{"kept": "disk"}``, where the disk refuses ``{"kept": "memory"}``, else ``{"refused": "why"}``. One
client at a time; who does not send its line in time is dropped. Who is not root speaks under the own login name. The
file of a daemon that is gone stays, refuses connections, and is replaced by the next one.
"""

import asyncio
import contextlib
import json
import logging
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

from agent.note_drop import NoteDrop
from agent.notes import LINE_BYTES, NoteError, read
from agent.readings_socket import bind
from agent.spool.keeper import Keeper, Receipt
from agent.spool.shelf import Ref
from agent.wire import batch
from agent.wire.batch import Kind, Stream
from agent.wire.errors import WireError
from agent.wire.records import Note, decode_note

log = logging.getLogger(__name__)

FILE = "notes.sock"
"""Name of the socket in the run folder."""

_WITHIN_S = 2.0
_RETRY_S = 60.0
_LOOK_S = 60.0
_PEER = struct.Struct("iII")  # Linux: struct ucred of SO_PEERCRED, unix(7)

T = TypeVar("T")


class Spool(Protocol):
    """The spool's thread."""

    async def call(self, work: Callable[[Keeper], T]) -> T:
        """Run ``work`` on the keeper."""
        ...


class Notes:
    """Takes notes from people.

    Args:
        drop: Those that waited.
        spool: Tells which are in the spool already; its thread also waits for the card.
        take: Seals the body of one; comes back when that is durable.
    """

    def __init__(self, drop: NoteDrop, spool: Spool, take: Callable[[bytes], Awaitable[Receipt]]) -> None:
        self._drop = drop
        self._spool = spool
        self._take = take
        self._taken: set[bytes] = set()  # in this life of the process; people write few

    async def collect(self) -> None:
        """Take in what waits in the folder, now and again every minute, until cancelled."""
        while True:
            await self.take_waiting()
            await asyncio.sleep(_LOOK_S)

    async def take_waiting(self) -> None:
        """Take in what waits, each exactly once: what the spool has already only leaves the folder."""
        for path, note, known in await self._spool.call(self._waiting):
            # Taken, and no longer in memory: it is on disk, or the center has it.
            if known or note.id in self._taken or await self._keep(note):
                await self._spool.call(_forgetting(self._drop, path))

    def _waiting(self, keeper: Keeper) -> list[tuple[Path, Note, bool]]:
        """Return what waits, each with whether the spool has it; nothing while rows go to memory."""
        waiting = [] if keeper.volatile else self._drop.waiting()
        known = ids(keeper) if waiting else frozenset()
        return [(path, note, note.id in known) for path, note in waiting]

    async def serve(self, path: Path) -> None:
        """Listen until cancelled; a folder that refuses the socket costs the socket, not the daemon."""
        told = False
        while True:
            try:
                listener = bind(path)
            except OSError as error:
                if not told:
                    log.warning("notes socket off: path=%s error=%s", path, error.strerror or error)
                    told = True
                await asyncio.sleep(_RETRY_S)
                continue
            with listener:
                await self._serve(listener)

    async def _serve(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listener)
            with client:
                client.setblocking(False)
                line = await _hear(client)
                if not line:
                    continue
                answer = json.dumps(await self._answer(line, client), ensure_ascii=False).encode() + b"\n"
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(_WITHIN_S):
                        await loop.sock_sendall(client, answer)

    async def _answer(self, line: bytes, client: socket.socket) -> dict[str, str]:
        try:
            note = read(line)
            note = read(replace(note, by=_speaker(client, note.by)).encode())
        except NoteError as error:
            return {"refused": str(error)}
        return {"kept": "disk" if await self._keep(note) else "memory"}

    async def _keep(self, note: Note) -> bool:
        """Seal a note; False when only memory has it."""
        if note.id is not None:
            self._taken.add(note.id)
        receipt = await self._take(note.encode())
        log.info("note taken: work=%s sensor=%s by=%s", note.work, note.sensor or "-", note.by)
        return not receipt.volatile


def ids(keeper: Keeper) -> frozenset[bytes]:
    """Return the ids of all notes that the spool holds."""
    found: set[bytes] = set()
    for chain in keeper.held():
        if chain.stream is Stream.ALARM:
            for n in range(chain.first, chain.last + 1):
                stored = keeper.read(Ref(run=chain.run, stream=chain.stream, n=n))
                found |= set() if stored is None else _id(stored.message)
    return frozenset(found)


def _id(message: bytes) -> set[bytes]:
    with contextlib.suppress(WireError):
        if batch.peek(message).kind is Kind.NOTE:
            note = decode_note(batch.plain_of(message))
            return set() if note.id is None else {note.id}
    return set()


def _forgetting(drop: NoteDrop, path: Path) -> Callable[[Keeper], bool]:
    return lambda _: drop.forget(path)


async def _hear(client: socket.socket) -> bytes:
    """Return the one line of a client; empty when none comes."""
    loop = asyncio.get_running_loop()
    data = b""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_WITHIN_S):
            while b"\n" not in data and len(data) <= LINE_BYTES:
                more = await loop.sock_recv(client, LINE_BYTES)
                if not more:
                    break
                data += more
    line, newline, _ = data.partition(b"\n")
    return line if newline else b""


def _speaker(client: socket.socket, said: str) -> str:
    """Return who speaks: root may speak for the person behind sudo, anybody else is who the kernel says."""
    _, uid, _ = _PEER.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    if uid in {0, os.geteuid()}:
        return said
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
