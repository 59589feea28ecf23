import asyncio
import json
import logging
import os
import socket
import stat
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from agent import readings_socket
from agent.readings_socket import CLIENTS, ReadingsSocket, bind, pack_line
from drivers.reading import Quality, Reading

SECOND = 1_000_000_000


def reading(channel: str = "pm2_5", value: float | bool | str = 8.5, boot_ns: int = 0, *flags: Quality) -> Reading:  # noqa: FBT001 - a value may be a bool
    return Reading(sensor="air", channel=channel, value=value, unit="ug/m3", boot_ns=boot_ns, quality=frozenset(flags))


@asynccontextmanager
async def serving(path: Path, boot_ns: Callable[[], int] = lambda: 0) -> AsyncIterator[ReadingsSocket]:
    readings = ReadingsSocket(boot_ns=boot_ns)
    task = asyncio.create_task(readings.serve(path))
    try:
        async with asyncio.timeout(5):
            while not path.exists():  # noqa: ASYNC110, ASYNC240 - the file is what a client sees
                await asyncio.sleep(0.001)
        yield readings
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def hear(reader: asyncio.StreamReader) -> object:
    line = await asyncio.wait_for(reader.readline(), 5)
    return json.loads(line)


def test_a_client_gets_the_last_of_each_channel_then_the_mark_then_each_reading(tmp_path: Path) -> None:
    path = tmp_path / "readings.sock"

    async def scenario() -> None:
        async with serving(path, lambda: 3 * SECOND) as readings:
            readings.publish(reading(value=1))
            readings.publish(reading(value=2, boot_ns=SECOND))
            readings.publish(reading("pm10", 9, 3 * SECOND))
            reader, writer = await asyncio.open_unix_connection(path)
            assert await hear(reader) == [{"n": "air/pm2_5", "u": "ug/m3", "t": -2.0, "v": 2}]
            assert await hear(reader) == [{"n": "air/pm10", "u": "ug/m3", "v": 9}]
            assert await hear(reader) == []
            readings.publish(reading(value=3, boot_ns=3 * SECOND))
            assert await hear(reader) == [{"n": "air/pm2_5", "u": "ug/m3", "v": 3}]
            writer.close()

    asyncio.run(scenario())


def test_flags_follow_their_reading_in_the_same_line() -> None:
    line = pack_line(reading("pm2_5", 8.5, 0, Quality.STEP, Quality.OUT_OF_RANGE), 0)
    assert json.loads(line) == [
        {"n": "air/pm2_5", "u": "ug/m3", "v": 8.5},
        {"n": "air/pm2_5/quality", "vs": "out_of_range"},
        {"n": "air/pm2_5/quality", "vs": "step"},
    ]
    assert line.endswith(b"\n")


@pytest.mark.parametrize(("value", "label"), [(True, "vb"), ("closed\nü", "vs"), (1, "v"), (1.25, "v")])
def test_each_kind_of_value_has_its_label(value: float | bool | str, label: str) -> None:  # noqa: FBT001 - see above
    line = pack_line(reading("door", value), 0)
    assert json.loads(line)[0][label] == value
    assert line.count(b"\n") == 1


def test_only_owner_and_group_may_connect(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        listener = bind(tmp_path / "readings.sock")
    finally:
        os.umask(before)
    listener.close()
    assert stat.S_IMODE((tmp_path / "readings.sock").stat().st_mode) == 0o660


def test_a_client_that_does_not_read_is_dropped_and_the_others_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agent.readings_socket")
    path = tmp_path / "readings.sock"

    async def scenario() -> None:
        async with serving(path) as readings:
            with socket.socket(socket.AF_UNIX) as slow:
                slow.setblocking(False)
                await asyncio.get_running_loop().sock_connect(slow, str(path))
                reader, writer = await asyncio.open_unix_connection(path)
                assert await hear(reader) == []
                text = "x" * 200
                for turn in range(10_000):
                    readings.publish(reading("text", text, turn))
                    if turn % 20 == 0:
                        await asyncio.sleep(0)
                        reader._buffer.clear()  # type: ignore[attr-defined] # a reader that keeps up
                assert len(readings._clients) == 1
                writer.close()

    asyncio.run(scenario())
    assert len(caplog.records) == 1


def test_there_is_room_for_a_few_clients_only(tmp_path: Path) -> None:
    path = tmp_path / "readings.sock"

    async def scenario() -> None:
        async with serving(path) as readings:
            pairs = [await asyncio.open_unix_connection(path) for _ in range(CLIENTS)]
            for reader, _ in pairs:
                assert await hear(reader) == []
            reader, writer = await asyncio.open_unix_connection(path)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            pairs[0][1].close()
            while len(readings._clients) == CLIENTS:  # noqa: ASYNC110 - the server notices by itself
                await asyncio.sleep(0.001)
            reader, writer = await asyncio.open_unix_connection(path)
            assert await hear(reader) == []
            for _, one in [*pairs, (reader, writer)]:
                one.close()

    asyncio.run(scenario())


def test_what_a_client_sends_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "readings.sock"

    async def scenario() -> None:
        async with serving(path) as readings:
            reader, writer = await asyncio.open_unix_connection(path)
            assert await hear(reader) == []
            writer.write(b"\xff" * 100_000)
            await writer.drain()
            readings.publish(reading())
            assert await hear(reader)
            writer.close()

    asyncio.run(scenario())


def test_without_clients_a_reading_costs_next_to_nothing() -> None:
    readings = ReadingsSocket()
    one = reading()
    begin_s = time.process_time()
    for _ in range(10_000):
        readings.publish(one)
    assert (time.process_time() - begin_s) / 10_000 < 5e-6


def test_the_number_of_channels_remembered_is_bounded() -> None:
    readings = ReadingsSocket()
    for number in range(5000):
        readings.publish(reading(f"c{number}"))
    assert len(readings._last) == 4096


def test_the_socket_of_a_killed_daemon_is_replaced_and_gone_after_a_clean_end(tmp_path: Path) -> None:
    path = tmp_path / "readings.sock"
    bind(path).close()

    async def scenario() -> None:
        async with serving(path):
            while True:
                try:
                    reader, writer = await asyncio.open_unix_connection(path)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.001)
                else:
                    break
            assert await hear(reader) == []
            writer.close()

    asyncio.run(asyncio.wait_for(scenario(), 10))
    assert not path.exists()


def test_a_second_daemon_leaves_the_first_its_socket(tmp_path: Path) -> None:
    with bind(tmp_path / "readings.sock"), pytest.raises(OSError, match="another gardu"):
        bind(tmp_path / "readings.sock")


def test_a_busy_first_daemon_is_not_mistaken_for_a_dead_one(tmp_path: Path) -> None:
    path = tmp_path / "readings.sock"
    with bind(path):
        waiting = []
        for _ in range(CLIENTS + 2):
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            client.connect_ex(str(path))
            waiting.append(client)
        with pytest.raises(OSError, match="another gardu"):
            bind(path)
        for client in waiting:
            client.close()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "readings.sock"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        bind(path)
    assert path.read_text() == "precious"


def test_a_folder_that_refuses_the_socket_costs_only_the_socket(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings_socket, "_RETRY_S", 0.001)
    path = tmp_path / "run" / "readings.sock"

    async def scenario() -> None:
        task = asyncio.create_task(ReadingsSocket().serve(path))
        await asyncio.sleep(0.05)
        path.parent.mkdir()
        async with asyncio.timeout(5):
            while not path.exists():  # noqa: ASYNC110 - the file is what a client sees
                await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert len(caplog.records) == 1


def test_the_socket_of_a_successor_is_not_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "readings.sock"

    async def scenario() -> None:
        async with serving(path):
            await asyncio.sleep(0.01)
            path.unlink()
            bind(path).close()

    asyncio.run(scenario())
    assert path.exists()


def test_clients_hear_the_end_of_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "readings.sock"

    async def scenario() -> None:
        async with serving(path):
            reader, writer = await asyncio.open_unix_connection(path)
            assert await hear(reader) == []
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_an_end_right_after_the_start_leaves_nothing_open(tmp_path: Path, steps: int) -> None:
    async def scenario() -> None:
        task = asyncio.create_task(ReadingsSocket().serve(tmp_path / "readings.sock"))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not read
    asyncio.run(scenario())
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - see above
    assert not (tmp_path / "readings.sock").exists()
