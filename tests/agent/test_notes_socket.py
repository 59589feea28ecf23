"""Notes into a real spool: durable before anybody hears so, and each exactly once, whatever was cut when."""

import asyncio
import json
import logging
import os
import pwd
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from agent import notes_socket
from agent.errors import SpoolError
from agent.note_drop import NoteDrop
from agent.notes_socket import Notes
from agent.seal import Moment, Pace, Sealer
from agent.spool.disk import Disk
from agent.spool.intake import Intake, Plan
from agent.spool.keeper import Keeper, Receipt
from agent.spool.shelf import Ref
from agent.spool.spool import Facts, Settings
from agent.spool.writer import Writer
from agent.wire import batch
from agent.wire.batch import Clock, Kind, Stream
from agent.wire.keys import Signer
from agent.wire.records import Note, Work, decode_note

NOTE = Note(work=Work.CLEAN, by="asep", sensor="air", text="inlet brushed", id=b"i" * 16)
MOMENT = Moment(boot=b"b" * 16, boot_ms=1000, utc_ms=None, clock=Clock.UNKNOWN)


class Box:
    """The card of a node, and lives of its agent on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.drop = NoteDrop(folder / "notes")
        self.path = folder / "notes.sock"
        self.runs = 0
        self.receipts: list[Receipt] = []

    def keeper(self) -> Keeper:
        self.runs += 1
        sealer = Sealer(city="bandung", node="dago-01", run=bytes([self.runs]) * 16, signer=Signer(b"n" * 32))
        keeper = Keeper(Disk(self.folder / "spool"), sealer, Settings(), Facts())
        keeper.open()
        return keeper

    @asynccontextmanager
    async def life(self) -> AsyncIterator["Life"]:
        """One life that ends like a kill: nothing is closed in order."""
        keeper = self.keeper()
        writer = Writer(keeper, asyncio.get_running_loop())
        writer.start()
        pace = Pace(live_s=10, metered_s=60, offline_s=600, empty_after_s=60)
        plan = Plan(durable_within_s=10, pace=pace)
        intake = Intake(writer, plan=plan, moment=lambda: MOMENT, stored=self.receipts.append)
        yield Life(keeper, writer, Notes(self.drop, writer, intake.note), intake.note)
        await writer.stop()

    def notes(self) -> list[Note]:
        """Every note that is on disk, oldest first."""
        found: list[Note] = []
        keeper = self.keeper()
        for chain in keeper.held():
            for n in range(chain.first, chain.last + 1):
                stored = keeper.read(Ref(run=chain.run, stream=chain.stream, n=n))
                assert stored is not None
                if batch.peek(stored.message).kind is Kind.NOTE:
                    assert chain.stream is Stream.ALARM
                    found.append(decode_note(batch.plain_of(stored.message)))
        return found


class Life:
    def __init__(
        self, keeper: Keeper, writer: Writer, notes: Notes, take: Callable[[bytes], Awaitable[Receipt]]
    ) -> None:
        self.keeper = keeper
        self.writer = writer
        self.notes = notes
        self.take = take


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def refuse(*_args: object, **_more: object) -> list[Ref]:
    raise SpoolError("the card refuses")


# -- the folder -------------------------------------------------------------------------------------------------------


def test_what_waited_is_taken_once_and_leaves_the_folder(box: Box) -> None:
    other = replace(NOTE, id=b"o" * 16, text="again")
    for note in (NOTE, other):
        box.drop.keep(note)

    async def scenario() -> None:
        for _ in range(2):
            async with box.life() as life:
                await life.notes.take_waiting()
                await life.notes.take_waiting()

    asyncio.run(scenario())
    assert box.notes() == [NOTE, other]
    assert box.drop.waiting() == []


def test_a_kill_between_signing_and_leaving_the_folder_signs_no_second_time(box: Box) -> None:
    box.drop.keep(NOTE)

    async def scenario() -> None:
        async with box.life() as life:
            await life.take(NOTE.encode())  # killed here: the file still stands
        async with box.life() as life:
            await life.notes.take_waiting()

    asyncio.run(scenario())
    assert box.notes() == [NOTE]
    assert box.drop.waiting() == []


def test_a_file_that_cannot_leave_is_not_signed_again(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.drop.keep(NOTE)
    monkeypatch.setattr(NoteDrop, "forget", lambda _self, _path: False)

    async def scenario() -> None:
        for _ in range(2):
            async with box.life() as life:
                await life.notes.take_waiting()
                await life.notes.take_waiting()

    asyncio.run(scenario())
    assert box.notes() == [NOTE]
    assert len(box.drop.waiting()) == 1


def test_while_the_card_refuses_what_waits_stays_and_is_taken_later(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.drop.keep(NOTE)

    async def scenario() -> None:
        async with box.life() as life:
            with monkeypatch.context() as bent:
                for name in ("record", "commit"):
                    bent.setattr(life.keeper._disk, name, refuse)
                await life.notes.take_waiting()
                await life.notes.take_waiting()
            assert life.keeper.volatile
            assert len(box.receipts) == 1
        assert [note for _, note in box.drop.waiting()] == [NOTE]
        async with box.life() as life:
            await life.notes.take_waiting()

    asyncio.run(scenario())
    assert box.notes() == [NOTE]
    assert box.drop.waiting() == []


def test_what_left_from_memory_is_not_signed_again_once_the_card_recovers(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.drop.keep(NOTE)

    async def scenario() -> None:
        async with box.life() as life:
            with monkeypatch.context() as bent:
                for name in ("record", "commit"):
                    bent.setattr(life.keeper._disk, name, refuse)
                await life.notes.take_waiting()
            life.keeper._memory = None  # the center has settled all of it, so nothing comes home
            await life.notes.take_waiting()

    asyncio.run(scenario())
    assert box.drop.waiting() == []
    assert len(box.receipts) == 1


def test_notes_that_come_to_the_folder_later_are_taken_too(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes_socket, "_LOOK_S", 0.01)

    async def scenario() -> None:
        async with box.life() as life:
            task = asyncio.create_task(life.notes.collect())
            await asyncio.sleep(0)
            await life.writer.call(lambda _: box.drop.keep(NOTE))
            async with asyncio.timeout(5):
                while box.drop.waiting():  # noqa: ASYNC110 - the folder is what a person sees
                    await asyncio.sleep(0.01)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(scenario())
    assert box.notes() == [NOTE]


# -- the socket -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serving(box: Box) -> AsyncIterator[Life]:
    async with box.life() as life:
        task = asyncio.create_task(life.notes.serve(box.path))
        async with asyncio.timeout(5):
            while not box.path.exists():  # noqa: ASYNC110 - the file is what a client sees
                await asyncio.sleep(0.001)
        yield life
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def say(path: Path, line: bytes) -> dict[str, str]:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(line)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return dict(json.loads(answer)) if answer else {}


def test_who_hears_that_a_note_is_on_disk_finds_it_there(box: Box) -> None:
    async def scenario() -> None:
        async with serving(box):
            assert await say(box.path, NOTE.encode() + b"\n") == {"kept": "disk"}
            assert box.notes() == [NOTE]
            assert [len(one.refs) for one in box.receipts] == [2]  # its chain's start and itself, to be sent

    asyncio.run(scenario())


def test_who_hears_of_memory_knows_that_the_card_refuses(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with serving(box) as life:
            for name in ("record", "commit"):
                monkeypatch.setattr(life.keeper._disk, name, refuse)
            assert await say(box.path, NOTE.encode() + b"\n") == {"kept": "memory"}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"rubbish\n", "this is no note"),
        (replace(NOTE, text="x" * 501).encode() + b"\n", "501 bytes"),
        (replace(NOTE, id=None).encode() + b"\n", "no id"),
    ],
)
def test_what_may_not_be_kept_is_answered_with_the_reason(box: Box, line: bytes, told: str) -> None:
    async def scenario() -> None:
        async with serving(box):
            assert told in (await say(box.path, line))["refused"]

    asyncio.run(scenario())
    assert box.notes() == []


def test_who_says_nothing_or_too_much_costs_the_next_one_only_a_moment(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes_socket, "_WITHIN_S", 0.05)

    async def scenario() -> None:
        async with serving(box):
            _, silent = await asyncio.open_unix_connection(box.path)
            assert await say(box.path, b"x" * 5000) == {}
            _, gone = await asyncio.open_unix_connection(box.path)
            gone.close()
            assert await say(box.path, NOTE.encode() + b"\n") == {"kept": "disk"}
            silent.close()

    asyncio.run(scenario())


def test_a_folder_that_refuses_the_socket_costs_the_socket_only(
    box: Box, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notes_socket, "_RETRY_S", 0.01)
    box.path.mkdir()

    async def scenario() -> None:
        async with box.life() as life:
            task = asyncio.create_task(life.notes.serve(box.path))
            await asyncio.sleep(0.05)
            box.path.rmdir()
            async with asyncio.timeout(5):
                while not box.path.exists():  # noqa: ASYNC110 - the file is what a client sees
                    await asyncio.sleep(0.001)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["notes socket off"]


@pytest.mark.parametrize("named", [True, False])
def test_nobody_but_root_and_the_agent_speaks_for_somebody_else(named: bool) -> None:  # noqa: FBT001 - drawn
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert notes_socket._speaker(ours, "asep") == "asep"
        stranger = pwd.getpwnam("nobody").pw_uid if named else 4_000_000
        peer = notes_socket._PEER.pack(1, stranger, stranger)

        class Peer:
            def getsockopt(self, *_args: int) -> bytes:
                return peer

        assert notes_socket._speaker(Peer(), "asep") == ("nobody" if named else "uid 4000000")  # type: ignore[arg-type]


@pytest.fixture
def public_box() -> Iterator[Box]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Box(Path(name))


def test_the_kernel_says_who_speaks_whatever_the_note_says(public_box: Box) -> None:
    nobody = pwd.getpwnam("nobody")
    who = "nobody" if os.geteuid() == 0 else NOTE.by  # else we are the agent's own user, who may say anything

    async def scenario() -> None:
        async with serving(public_box):
            public_box.path.chmod(0o666)
            with socket.socket(socket.AF_UNIX) as client:
                if os.geteuid() == 0:
                    os.seteuid(nobody.pw_uid)
                try:
                    client.connect(str(public_box.path))
                finally:
                    os.seteuid(os.getuid())
                client.send(NOTE.encode() + b"\n")
                client.setblocking(False)
                answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 100), 10)
                assert json.loads(answer) == {"kept": "disk"}

    asyncio.run(scenario())
    assert public_box.notes() == [replace(NOTE, by=who)]
