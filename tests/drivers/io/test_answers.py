"""Files, UNIX sockets and programs as sources."""

import asyncio
import errno
import ssl
import sys
from pathlib import Path

import pytest

from drivers.io.answers import file, read, reason, stream_reply
from drivers.io.program import output, program
from drivers.io.turns import Turns
from drivers.probe import ANSWER_BYTES
from tests.drivers.io.asked import NOW, Listener, Talk, hanging, saying, told, unix


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(errno.ENOENT, ""), "not there"),
        (PermissionError(errno.EACCES, ""), "no permission: let the service's group read it"),
        (ConnectionRefusedError(errno.ECONNREFUSED, ""), "nobody listens"),
        (OSError(errno.EIO, ""), "Input/output error"),
        (TimeoutError(), "no answer in time"),
        (OSError(0, "what answers speaks no HTTP"), "what answers speaks no HTTP"),
        (OSError("anything"), "cannot be read"),
        (ssl.SSLCertVerificationError(1, "host portal.example"), "its certificate or its TLS is not accepted"),
    ],
)
def test_each_way_to_fail_has_its_words(error: OSError, words: str) -> None:
    assert reason(error) == words


def test_a_file_is_read_whole_or_its_absence_told_once(tmp_path: Path) -> None:
    probe, path = Listener(), tmp_path / "leases"
    assert told(file(probe, "text", path, NOW)) == ["text: not there"]
    assert told(file(probe, "text", path, NOW)) == []
    path.write_bytes(b"one")
    assert told(file(probe, "text", path, NOW)) == ["text answers again"]
    assert probe.taken == [b"one"]
    path.write_bytes(b"bad")
    assert told(file(probe, "text", path, NOW)) == ["text: not understood: bad"]


def test_no_more_of_a_huge_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.write_bytes(b"x" * (ANSWER_BYTES + 1))
    assert len(read(path)) == ANSWER_BYTES


def asked(talk: Talk, folder: Path, *, within_s: float = 5.0) -> bytes:
    async def run() -> bytes:
        async with unix(talk, folder / "sock") as path, asyncio.timeout(within_s):
            return await stream_reply(path, b"json\r\n\r\n")

    return asyncio.run(run())


def test_a_socket_is_read_until_it_is_closed(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"you said " + await reader.readuntil(b"\r\n\r\n"))
        await writer.drain()
        writer.write(b"the end")

    assert asked(echo, tmp_path) == b"you said json\r\n\r\nthe end"
    assert asked(saying(), tmp_path) == b""


def test_no_more_of_a_huge_reply_is_read(tmp_path: Path) -> None:
    assert len(asked(saying(*[b"x" * 50_000] * 6), tmp_path)) == ANSWER_BYTES


def test_a_socket_that_hangs_costs_the_deadline(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        asked(hanging, tmp_path, within_s=0.2)


def test_a_socket_that_nobody_serves_is_weather(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        asyncio.run(stream_reply(str(tmp_path / "none"), b""))


def python(text: str, *, within_s: float = 10.0) -> bytes:
    return asyncio.run(output((sys.executable, "-S", "-c", text), within_s=within_s))


def test_what_a_program_prints_is_its_answer() -> None:
    assert python("import sys; print('one'); print('no part of it', file=sys.stderr); print('two')") == b"one\ntwo\n"


def test_a_program_that_fails_says_how() -> None:
    with pytest.raises(OSError, match="it ended with 3"):
        python("print('half'); raise SystemExit(3)")
    with pytest.raises(FileNotFoundError):
        asyncio.run(output(("/no/such/program",), within_s=1))


@pytest.mark.parametrize("before", ["", "print('half', flush=True); "])
def test_a_program_that_is_late_is_killed(before: str, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    with pytest.raises(TimeoutError):
        python(f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); {before}time.sleep(60)", within_s=2)
    assert not Path(f"/proc/{mark.read_text()}").exists()


def test_a_program_that_never_stops_printing_is_killed() -> None:
    with pytest.raises(OSError, match="it prints without end"):
        python("while True: print('x' * 65536)")


def test_a_program_is_handed_to_a_probe_or_its_failure_told_once() -> None:
    probe = Listener()

    async def run() -> list[str]:
        bad = ("/no/such/program",)
        events = [await program(probe, "text", words, NOW) for words in (bad, bad, ("/bin/echo", "hi"))]
        return [text for each in events for text in told(each)]

    assert asyncio.run(run()) == ["text: not there", "text answers again"]
    assert probe.taken == [b"hi\n"]


def test_a_source_is_due_once_in_its_time_and_a_moment_early_counts() -> None:
    turns, second = Turns(), 1_000_000_000
    due_at = [at for at in (0, 1, 58, 59, 60, 117, 118, 178) if turns.due("a", 60, at * second)]
    assert due_at == [0, 59, 118, 178]
    assert turns.due("b", 60, 60 * second)
