"""One GET against real servers, good and bad."""

import asyncio
import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from drivers.io.http import BODY_BYTES, Reply, get
from drivers.io.names import Names
from tests.drivers.io.asked import Talk, hanging, saying, tcp

OK = b"HTTP/1.1 200 OK\r\n"
TEXT = b"abc0123456789"


def got(talk: Talk, path: str = "/page?a=1", *, within_s: float = 5.0, body_bytes: int = BODY_BYTES) -> Reply:
    async def run() -> Reply:
        async with tcp(talk) as port, asyncio.timeout(within_s):
            return await get(f"http://127.0.0.1:{port}{path}", Names(), body_bytes=body_bytes)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("pieces", "status", "body"),
    [
        ((OK + b"Content-Length: 5\r\n\r\nhello and more",), 200, b"hello"),
        ((OK + b"content-length:2\r\n\r\n", b"h", b"i"), 200, b"hi"),
        ((OK + b"\r\n", b"until ", b"the end"), 200, b"until the end"),
        ((b"HTTP/1.0 302 Found\r\nLocation: http://portal/\r\n\r\n",), 302, b""),
        ((b"HTTP/1.1 204 No Content\r\n\r\nnever a body",), 204, b""),
        ((b"HTTP/1.1 511\r\nContent-Length: 0\r\n\r\n",), 511, b""),
        ((OK + b"Transfer-Encoding: Chunked\r\n\r\n", b"3;x=y\r\nabc\r\n", b"A\r\n0123456789\r\n0\r\n\r\n"), 200, TEXT),
        ((OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nall there is",), 200, b"all there is"),
    ],
)  # fmt: skip
def test_a_body_is_read_by_length_by_chunks_or_to_the_end(pieces: tuple[bytes, ...], status: int, body: bytes) -> None:
    reply = got(saying(*pieces))
    assert (reply.status, reply.body) == (status, body)
    assert reply.ms >= 0


def test_names_of_headers_are_given_in_lower_case_and_the_head_as_it_came() -> None:
    head = OK + b"X-Of-It:  a:b \r\nContent-Length: 0\r\n\r\n"
    reply = got(saying(head))
    assert reply.headers["x-of-it"] == "a:b"
    assert reply.head == head


@pytest.mark.parametrize(
    "pieces",
    [
        (OK + b"Content-Length: 50\r\n\r\nhalf",),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc",),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nmany\r\nabcde\r\n",),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-3\r\nabcde\r\n",),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 20_000,),
    ],
)
def test_half_a_body_is_no_answer(pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(OSError, match="its answer ends in the middle"):
        got(saying(*pieces))


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (OK,),
        (b"SSH-2.0-OpenSSH_9.2\r\n",),
        (b"220 mail\r\n\r\n",),
        (b"HTTP/1.1 \xb204 x\r\n\r\n",),
        (b"HTTP/1.1\r\n\r\n",),
        (b"\xff" * 20_000,),
        (OK + b"X: " + b"x" * 20_000 + b"\r\n\r\n",),
    ],
)
def test_what_speaks_no_http_is_told_so(pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(OSError, match="what answers speaks no HTTP"):
        got(saying(*pieces))


@pytest.mark.parametrize("head", [OK + b"\r\n", OK + b"Content-Length: 9999999\r\n\r\n"])
def test_no_more_of_a_huge_body_is_read_than_asked_for(head: bytes) -> None:
    assert got(saying(head, *[b"x" * 10_000] * 50)).body == b"x" * BODY_BYTES
    assert got(saying(head, *[b"x" * 10_000] * 50), body_bytes=7).body == b"x" * 7


def test_no_more_of_huge_chunks_is_read_than_asked_for() -> None:
    chunk = b"4e20\r\n" + b"x" * 20_000 + b"\r\n"
    body = got(saying(OK + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 50)).body
    assert BODY_BYTES <= len(body) < BODY_BYTES + 20_000


@pytest.mark.parametrize("talk", [hanging, saying(OK)])
def test_a_server_that_hangs_costs_the_deadline_and_no_more(talk: Talk) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await talk(reader, writer)
        await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        got(slow, within_s=0.2)


def test_nobody_there_and_no_such_port_are_weather() -> None:
    async def run() -> None:
        async with tcp(hanging) as port:
            pass
        with pytest.raises(ConnectionRefusedError):
            await get(f"http://127.0.0.1:{port}/", Names())
        with pytest.raises(OSError, match=r"no such port|address is none"):
            await get("http://127.0.0.1:70000/", Names())
        with pytest.raises(OSError, match="its name is not found"):
            await get("http://a..b/", Names())

    asyncio.run(run())


def test_the_request_is_one_that_a_phone_could_send() -> None:
    requests: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def run() -> int:
        async with tcp(talk) as port:
            await get(f"http://127.0.0.1:{port}", Names())
            await get(f"http://localhost:{port}/a%20b?c=d#part", Names(), accept="application/captive+json")
        return port

    port = asyncio.run(run())
    first, second = (request.decode().split("\r\n") for request in requests)
    assert (first[0], first[1]) == ("GET / HTTP/1.1", f"Host: 127.0.0.1:{port}")
    assert (second[0], second[1]) == ("GET /a%20b?c=d HTTP/1.1", f"Host: localhost:{port}")
    assert "Accept: application/captive+json" in second
    assert "Connection: close" in second


def certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + dt.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "both.pem"
    form = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, form)
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_https_is_believed_only_from_whom_is_trusted(tmp_path: Path) -> None:
    held = certificate(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(held)

    async def run() -> Reply:
        async with tcp(saying(OK + b"Content-Length: 2\r\n\r\nhi"), serving) as port:
            url = f"https://localhost:{port}/"
            with pytest.raises(ssl.SSLCertVerificationError):
                await get(url, Names())
            return await get(url, Names(), tls=ssl.create_default_context(cafile=held))

    assert asyncio.run(run()).body == b"hi"
