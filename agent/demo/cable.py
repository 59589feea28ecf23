"""The link between node and broker: a cable that can be cut and mended."""

import asyncio
import contextlib

_CHUNK_BYTES = 65536


class Cable:
    """Carries connections to a broker on this machine, byte by byte, until it is cut.

    Attributes:
        port: Where the node finds it.
    """

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self.port = 0

    @property
    def is_cut(self) -> bool:
        """Whether it is cut."""
        return self._is_cut

    async def lay(self) -> None:
        """Begin to carry."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Break every connection, and each new one from now on."""
        self._is_cut = True
        self._drop()

    def mend(self) -> None:
        """Carry again."""
        self._is_cut = False

    async def remove(self) -> None:
        """Carry no more."""
        if self._server is not None:
            self._server.close()
            self._drop()

    def _drop(self) -> None:
        for writer in tuple(self._lines):
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        self._lines.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._broker_port)
        except OSError:
            self._lines.discard(writer)
            writer.transport.abort()
            return
        self._lines.add(far_writer)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, far_writer))
                both.create_task(self._pump(far_reader, writer))
        finally:
            for end in (writer, far_writer):
                self._lines.discard(end)
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                writer.write(data)
                await writer.drain()
        writer.close()
