"""Nothing that names a guest or their device gets out of a probe: every sample, through every probe, into a spool.

The words to look for are drawn from the samples themselves: MACs, addresses, names, tokens, URLs. They are looked for
in facts, readings, troubles, the log, the output of `gardu probe run`, and the bytes of the spool, inflated too.
"""

import asyncio
import io
import logging
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import pytest

from agent.alarms import Alarms
from agent.cli.main import main
from agent.pipeline import Pipeline
from agent.quality import Judge
from agent.seal import Moment as Sealed
from agent.seal import Sealer
from agent.spool.disk import Disk
from agent.spool.frames import FrameKind, frames, message_of, parse_name
from agent.spool.keeper import Keeper
from agent.spool.spool import Facts as Start
from agent.spool.spool import Settings as Bounds
from agent.wire.batch import Stream, plain_of
from agent.wire.keys import Signer
from agent.wire.senml import Row
from drivers.driver import Channel, DriverInfo, Event, Problem
from drivers.probe import AnswerError, Facts, Moment, Probe, Source
from drivers.probes import KINDS, ProbeKind, Settings, make, settings

FOLDER = Path(__file__).parents[1] / "vectors" / "hotspot"
UTC_S = 1_795_359_040.0
_MAC = re.compile(rb"(?<![0-9A-Fa-f:.-])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f])|\b[0-9a-f]{12}\b")
_NETLINK_MAC = re.compile(rb"\x0a\x00\x06\x00(.{6})", re.DOTALL)  # NL80211_ATTR_MAC is 6
_IPV4 = re.compile(rb"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_IPV6 = re.compile(rb"(?<![0-9A-Fa-f:])[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){3,7}(?![0-9A-Fa-f:])")
_URL = re.compile(rb"https?://[^\s\"',\]]+")
_NAMED = re.compile(
    rb"(?:token|user|hash|clientid|sessionid|identity|UserName|SessionId)\"?[=:]\s*\"?([\w.@-]{4,})", re.IGNORECASE
)
_NOBODY = frozenset({b"127.0.0.1", b"0.0.0.0", b"255.255.255.255", b"0" * 12, b"ff" * 6})
_OUTSIDE = re.compile(rb"(?:192\.0\.2|198\.51\.100|203\.0\.113)\.\d+|.*\.1")
"""Addresses that are no guest's: beyond the uplink (RFC 5737), and gateways."""

RICH = {
    "leases": b"duid 00:01:00:01:2a:3b:4c:5d:00:00:5e:00:53:77\n"
    b"1795359999 00:00:5e:00:53:71 10.20.0.9 Budi-iPhone 01:00:00:5e:00:53:71\n"
    b"1795359999 1234567 2001:db8::abcd:1 Siti-Laptop 00:01:00:01:2a:3b:4c:5d:00:00:5e:00:53:77\n",
    "station": b"00:00:5e:00:53:72\nflags=[AUTH][ASSOC][AUTHORIZED]\naid=1\nsignal=-61\nconnected_time=9\n"
    b"dot1xAuthSessionId=7A6B5C4D3E2F1A0B\ndot1xAuthSessionUserName=siti@bandung.example\nidentity=siti@bandung.example\n",
    "events": b"<3>AP-STA-CONNECTED 00:00:5e:00:53:73\n<3>CTRL-EVENT-EAP-SUCCESS2 00:00:5e:00:53:73\n"
    b"<3>RX-PROBE-REQUEST sa=00:00:5e:00:53:74 signal=-70\n",
    "portal": b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/login?mac=00-00-5e-00-53-75&ip=10.20.0.17\r\n"
    b"Set-Cookie: token=deadbeefcafe0123\r\nContent-Length: 0\r\n\r\n",
    "capport": b'{"captive":true,"user-portal-url":"https://portal.example/u/Budi77",'
    b'"client-mac":"00:00:5e:00:53:76","client-ip":"10.20.0.18","seconds-remaining":12}',
}  # fmt: skip
NAMES = (b"Budi-iPhone", b"Siti-Laptop", b"siti@bandung.example", b"Budi77", b"hp-warga", b"hp-1", b"hp-2", b"user1")
"""What people and their devices are called in the samples."""


@cache
def samples() -> dict[str, bytes]:
    """Every recorded answer by name, and richer ones of the same formats."""
    recorded = {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.suffix != ".md"}
    return {name: raw for name, raw in recorded.items() if name != "expected.json"} | RICH


@cache
def hunted() -> re.Pattern[bytes]:
    """What must not be found, as one pattern; numbers only where they stand alone."""
    everything = b"\n".join(samples().values())
    words = {*NAMES, *_NAMED.findall(everything), *_URL.findall(everything), *_session_words(everything)}
    alone = {found for found in _IPV4.findall(everything) if not _OUTSIDE.fullmatch(found)} - _NOBODY
    alone |= set(_IPV6.findall(everything))
    for mac in {*_MAC.findall(everything), *(raw.hex().encode() for raw in _NETLINK_MAC.findall(everything))}:
        plain = re.sub(rb"[:-]", b"", mac).lower()
        if plain not in _NOBODY:
            pairs = [plain[at : at + 2] for at in range(0, 12, 2)]
            quads = [plain[at : at + 4] for at in range(0, 12, 4)]
            words |= {plain, b":".join(pairs), b"-".join(pairs), b" ".join(pairs), b".".join(quads), b"%3a".join(pairs)}
    words = {word for word in words if word not in _NOBODY and not word.isdigit()}
    assert len(words) > 100, "the samples name guests, or this test looks for nothing"
    either = [rb"(?<![\w.])(?:%s)(?![\w.])" % b"|".join(map(re.escape, sorted(alone)))]
    either += [re.escape(word) for word in sorted(words, key=len, reverse=True)]
    return re.compile(b"|".join(either), re.IGNORECASE)


def _session_words(everything: bytes) -> Iterator[bytes]:
    """Session ids and user names of `chilli_query list`, which stand without a name."""
    for line in everything.splitlines():
        columns = line.split(b" ")
        if len(columns) > 8 and re.fullmatch(rb"(?:[0-9A-F]{2}-){5}[0-9A-F]{2}", columns[0]):
            yield columns[3]


def found_in(data: bytes | str) -> list[bytes]:
    """Words of guests in what left."""
    return sorted(set(hunted().findall(data.encode("utf-8", "replace") if isinstance(data, str) else data)))


def variants(raw: bytes) -> Iterator[bytes]:
    """An answer as it is, and as weather makes it: cut, doubled, with other line ends, behind noise."""
    yield raw
    yield raw.replace(b"\n", b"\r\n")
    yield raw[: len(raw) // 2]
    yield raw[len(raw) // 3 :]
    yield raw + raw
    yield b"\xff\x00noise " + raw
    yield raw.replace(b":", b"-")
    yield from raw.splitlines()[:40]


def everything_on(kind: ProbeKind) -> Settings:
    """Settings under which a probe gives all that it can."""
    given = settings(kind.section)
    wished = {"every_metric": True, "pool": "10.20.0.0-10.20.0.255", "privacy": "counts"}
    return replace(given, **{name: value for name, value in wished.items() if hasattr(given, name)})  # type: ignore[arg-type]


class Out:
    """All ways in which something leaves: a real pipeline, and a real spool behind it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[str] = []
        self.rows: dict[Stream, list[Row]] = {Stream.TELEMETRY: [], Stream.ALARM: []}
        self.boot_ns = 1_000_000_000
        self.pipeline = Pipeline(
            Judge({}),
            Alarms([]),
            keep=lambda row, stream: self.rows[stream].append(row),
            publish=lambda reading: self.told.append(repr(reading)),
            boot_ns=lambda: self.boot_ns,
        )

    def answer(self, probe: Probe, source: str, raw: bytes) -> None:
        self.boot_ns += 1_000_000
        for event in probe.answer(source, raw, Moment(boot_ns=self.boot_ns, utc_s=UTC_S)):
            self.told.append(repr(event))
            self.pipeline.take(event)

    def spool_bytes(self) -> bytes:
        """Write all rows as the daemon does; return the files as they lie there and what their batches inflate to."""
        sealer = Sealer(city="bandung", node="dago-01", run=b"r" * 16, signer=Signer(b"n" * 32))
        keeper = Keeper(Disk(self.folder), sealer, Bounds(free_disk=0), Start())
        keeper.open()
        moment = Sealed(boot=b"b" * 16, boot_ms=self.boot_ns // 1_000_000, utc_ms=round(UTC_S * 1000), clock=0)
        for stream, rows in self.rows.items():
            keeper.commit({stream: rows}, moment=moment, seal=frozenset({stream}))
        keeper.close(moment)
        found, rows_read = [], 0
        for path in sorted(self.folder.iterdir()):
            name, data = parse_name(path.name), path.read_bytes()
            found.append(data)
            for frame in frames(name, data) if name else ():
                if frame.kind == FrameKind.BATCH:
                    found.append(plain := plain_of(message_of(frame)))
                    rows_read += len(re.findall(rb'"v[sb]?":', plain))
        assert rows_read >= len(self.rows[Stream.TELEMETRY]), "the spool is read back whole"
        return b"\n".join(found)


def probes() -> list[tuple[ProbeKind, Probe]]:
    return [(kind, make(kind, everything_on(kind))) for kind in KINDS]


def test_no_probe_lets_a_guest_out_into_readings_the_log_or_the_spool(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def work() -> Out:
        out = Out(tmp_path / "spool")
        for _, probe in probes():
            for source in probe.sources:
                for raw in samples().values():
                    for variant in variants(raw):
                        out.answer(probe, source.name, variant)
        return out

    out = asyncio.run(work())
    assert len(out.rows[Stream.TELEMETRY]) > 100, "the samples give readings, or this test looks at nothing"
    assert found_in("\n".join(out.told)) == []
    assert found_in(caplog.text) == []
    assert found_in(out.spool_bytes()) == []


def test_no_parser_puts_a_guest_into_its_facts_or_its_errors() -> None:
    for kind, probe in probes():
        for source in probe.sources:
            for name, raw in samples().items():
                for variant in variants(raw):
                    try:
                        said = repr(asdict(source.parse(variant)))
                    except AnswerError as error:
                        said = f"{error} {error.__cause__}"
                    assert found_in(said) == [], f"{kind.name}: {source.name} on {name}"


def asked(*words: str) -> str:
    """What a command says, both ways."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        main(words)
    return out.getvalue()


def reads(source: Source, raw: bytes) -> bool:
    try:
        source.parse(raw)
    except AnswerError:
        return False
    return True


def test_probe_run_shows_no_guest(tmp_path: Path) -> None:
    for name, raw in samples().items():
        (tmp_path / name).write_bytes(raw)
    for kind, probe in probes():
        shown = 0
        more = [] if kind.core else ["--option", "every_metric=true"]
        for source in probe.sources:
            good = [name for name, raw in samples().items() if reads(source, raw)]
            for name in (*good, "station"):
                file = f"{source.name}={tmp_path / name}"
                said = asked("probe", "run", kind.name, "--file", file, "--at", str(UTC_S), "--json", *more)
                assert found_in(said) == [], f"{kind.name} on {file}"
                shown += len(said)
        assert shown > 0


def leaky(raw: bytes) -> Facts:
    if raw.startswith(b"?"):
        raise AnswerError(f"not expected: {raw[1:].decode()}")
    return Facts()


class Leaky(Probe):
    """Lets one word out: as a value, in a trouble, in what it says of an answer it does not understand."""

    sources = (Source(name="leaky", title="leaky", parse=leaky),)

    def __init__(self, way: str) -> None:
        channel = Channel(name="last", unit="1", kind="text")
        super().__init__(DriverInfo(name="leaky", title="leaky", family="leaky", channels=(channel,)), "clients")
        self._way = way

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:  # noqa: ARG002 - the shape of a probe
        if self._way == "value":
            yield from self.reading("last", "00:00:5e:00:53:71", now)
        else:
            yield Problem(sensor="clients", code="weak", detail="Budi-iPhone")


@pytest.mark.parametrize(
    ("way", "raw", "told", "logged", "kept"),
    [
        ("value", b"x", True, False, True),
        ("trouble", b"x", True, True, False),
        ("error", b"?10.20.0.9", True, True, False),
    ],
)
def test_a_probe_that_leaks_is_caught(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, way: str, raw: bytes, *, told: bool, logged: bool, kept: bool
) -> None:
    async def work() -> Out:
        out = Out(tmp_path / "spool")
        out.answer(Leaky(way), "leaky", raw)
        return out

    out = asyncio.run(work())
    found = (bool(found_in("\n".join(out.told))), bool(found_in(caplog.text)), bool(found_in(out.spool_bytes())))
    assert found == (told, logged, kept)


@pytest.mark.parametrize(
    ("leak", "word"),
    [
        ("00:00:5e:00:53:71", b"00:00:5e:00:53:71"),
        ("00005e005371", b"00005e005371"),
        ("0000.5E00.5371", b"0000.5e00.5371"),
        ("guest 10.20.0.9 gone", b"10.20.0.9"),
        ("2001:db8::abcd:1", b"2001:db8::abcd:1"),
        ("of Budi-iPhone", b"budi-iphone"),
        ("token 482b235c", b"482b235c"),
        ("5ce176f000000001", b"5ce176f000000001"),
        ("http://captive.apple.com/hotspot-detect.html", b"http://captive.apple.com/hotspot-detect.html"),
    ],
)
def test_the_search_finds_what_it_looks_for(leak: str, word: bytes) -> None:
    assert [each.lower() for each in found_in(f"x='{leak}', y")] == [word]


@pytest.mark.parametrize(
    "harmless", ["110.20.0.9", "10.20.0.95", "10.20.0.0-10.20.0.255", "0:0:0", "127.0.0.1", "1795359040"]
)
def test_the_search_lets_through_what_names_nobody(harmless: str) -> None:
    assert found_in(harmless) == []
