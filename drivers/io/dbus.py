"""Asks daemons on the system bus: one question there, one answer back, each within its own time.

Import this module only where the bus is needed: it brings jeepney with it.

Source: D-Bus Specification 0.43, Message Protocol, Authentication Protocol, Message Bus Specification.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Literal

from jeepney import DBusAddress, HeaderFields, Message, MessageFlag, MessageType, Parser, new_method_call
from jeepney.auth import BEGIN, AuthenticationError, Authenticator

from drivers.probe import ANSWER_BYTES

WITHIN_S = 3.0
"""Longest wait for one answer, in s."""

_CHUNK = 4096
_SERIAL = slice(8, 12)  # of its sender, in the head of a message
_LEAST_BYTES = 16
_ORDERS = {ord("l"): "<", ord("B"): ">"}
_MOST_READ = 16
_NO_DBUS = "what it says is no D-Bus"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_REASONS = {
    "ServiceUnknown": "its daemon is not on the bus",
    "NameHasNoOwner": "its daemon is not on the bus",
    "AccessDenied": "the bus refuses it: no permission",
    "InteractiveAuthorizationRequired": "the bus refuses it: no permission",
    "NoReply": "no answer in time",
    "UnknownMethod": "it does not know the question",
    "UnknownObject": "it does not know the question",
    "UnknownInterface": "it does not know the question",
    "UnknownProperty": "it does not know the question",
}


class BusError(OSError):
    """The bus, or a daemon on it, gave no answer.

    Attributes:
        name: The error's name on the bus, ``org.freedesktop.DBus.Error.ServiceUnknown``; empty where it has none.
    """

    def __init__(self, reason: str, name: str = "") -> None:
        super().__init__(0, reason)
        self.name = name


class _ClosedError(BusError):
    """The bus left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One interface of one object of one daemon.

    Attributes:
        daemon: Its name on the bus, ``org.freedesktop.systemd1``.
        path: The object.
        name: The interface.
    """

    daemon: str
    path: str
    name: str


_BUS = Interface(daemon="org.freedesktop.DBus", path="/org/freedesktop/DBus", name="org.freedesktop.DBus")


class Question:
    """A call that may be asked again and again; it is put into bytes once.

    Args:
        interface: Whom to ask.
        member: The method.
        signature: Of the arguments.
        arguments: The arguments.
        start: Let the bus start the daemon when it does not run.
    """

    def __init__(
        self,
        interface: Interface,
        member: str,
        signature: str = "",
        arguments: tuple[object, ...] = (),
        *,
        start: bool = False,
    ) -> None:
        address = DBusAddress(interface.path, bus_name=interface.daemon, interface=interface.name)
        message = new_method_call(address, member, signature or None, arguments)
        if not start:
            message.header.flags |= MessageFlag.no_auto_start
        self._raw: bytes = message.serialise(1)

    def numbered(self, serial: int) -> bytes:
        """Return the message under a number."""
        order: Literal["little", "big"] = "little" if self._raw[:1] == b"l" else "big"
        return self._raw[: _SERIAL.start] + serial.to_bytes(4, order) + self._raw[_SERIAL.stop :]


Answer = tuple[object, ...] | BusError
"""What a call gives, as jeepney reads it: a variant is the pair of signature and value."""


def property_of(interface: Interface, name: str) -> Question:
    """Return the question for a property; `value` reads the answer."""
    return Question(replace(interface, name=_PROPERTIES), "Get", "ss", (interface.name, name))


def value(said: Answer) -> object:
    """Return the value of a property.

    Raises:
        BusError: The daemon refuses, or answers something else.
    """
    match said:
        case BusError():
            raise said
        case ((_, found),):
            return found
        case _:
            raise BusError("what it answers is no property")


class SystemBus:
    """One connection; `connected` makes it, and `KeptBus` where it is used again and again."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._held = bytearray()
        self._read: dict[bytes, tuple[object, Answer]] = {}

    @property
    def is_open(self) -> bool:
        """Whether it can be asked; it is closed after a failure, since a late answer fits the next question too."""
        return self._line.fileno() >= 0

    def close(self) -> None:
        """Leave the bus."""
        self._line.close()

    async def call(
        self,
        interface: Interface,
        member: str,
        signature: str = "",
        arguments: tuple[object, ...] = (),
        *,
        start: bool = False,
    ) -> tuple[object, ...]:
        """Call a method and return what it gives.

        Raises:
            BusError: The daemon is not there, refuses or is not understood.
            OSError: The bus is gone, or there is no answer within `WITHIN_S`.
        """
        (said,) = await self.ask(Question(interface, member, signature, arguments, start=start))
        if isinstance(said, BusError):
            raise said
        return said

    async def property(self, interface: Interface, name: str) -> object:
        """Return the value of a property.

        Raises:
            BusError: As `call`.
            OSError: As `call`.
        """
        (said,) = await self.ask(property_of(interface, name))
        return value(said)

    async def ask(self, *questions: Question) -> list[Answer]:
        """Ask all at once and return the answers in the same order; a refusal stands in its place.

        Raises:
            OSError: The bus is gone, says what is no D-Bus, or does not answer everything within `WITHIN_S`.
        """
        words = b"".join(question.numbered(serial) for serial, question in enumerate(questions, 1))
        try:
            async with asyncio.timeout(WITHIN_S):
                await asyncio.get_running_loop().sock_sendall(self._line, words)
                return await self._answers(len(questions))
        except BaseException:
            self.close()
            raise

    async def _answers(self, count: int) -> list[Answer]:
        """Return the answers to questions 1 to ``count``; what else the bus tells is passed over."""
        loop = asyncio.get_running_loop()
        found: dict[object, Answer] = {}
        wanted = range(1, count + 1)
        seen = 0
        while True:
            while (size := self._size()) is not None and size <= len(self._held):
                serial, said = self._understood(bytes(self._held[:size]))
                del self._held[:size]
                if serial in wanted:
                    found[serial] = said
            if len(found) == count:
                return [found[serial] for serial in wanted]
            chunk = await loop.sock_recv(self._line, _CHUNK)
            seen += len(chunk)
            if not chunk:
                raise _ClosedError("the bus closed the connection")
            if seen > ANSWER_BYTES:
                raise BusError("its answer is too long")
            self._held += chunk

    def _size(self) -> int | None:
        """Return the length of the message that comes now; None while that is not known."""
        if len(self._held) < _LEAST_BYTES:
            return None
        order = _ORDERS.get(self._held[0])
        if order is None:
            raise BusError(_NO_DBUS)
        body_bytes, fields_bytes = struct.unpack_from(f"{order}4xI4xI", self._held)
        size = _LEAST_BYTES + -(-fields_bytes // 8) * 8 + body_bytes
        return int(size)

    def _understood(self, raw: bytes) -> tuple[object, Answer]:
        """Return which question a message answers, and the answer; reading costs more than comparing."""
        same = raw[: _SERIAL.start] + raw[_SERIAL.stop :]
        known = self._read.get(same)
        if known is not None:
            return known
        try:
            (message,) = Parser().feed(raw)
        except (ValueError, LookupError, TypeError, AssertionError, struct.error):
            raise BusError(_NO_DBUS) from None
        found = message.header.fields.get(HeaderFields.reply_serial), _given(message)
        if len(self._read) >= _MOST_READ:
            self._read.clear()
        self._read[same] = found
        return found


class KeptBus:
    """The bus for who asks again and again: stays connected, and connects again when the bus was started anew.

    Nothing but answers comes over such a connection, since nobody asked for signals.

    Args:
        socket: Where the bus listens.
    """

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._bus: SystemBus | None = None

    async def ask(self, *questions: Question) -> list[Answer]:
        """Ask all at once, as `SystemBus.ask`.

        Raises:
            OSError: As `connected` and `SystemBus.ask`.
        """
        if self._bus is not None and self._bus.is_open:
            with contextlib.suppress(ConnectionError, _ClosedError):
                return await self._bus.ask(*questions)
        self._bus = await _connect(self._socket)
        return await self._bus.ask(*questions)

    def close(self) -> None:
        """Leave the bus."""
        if self._bus is not None:
            self._bus.close()


@contextlib.asynccontextmanager
async def connected(socket: str) -> AsyncIterator[SystemBus]:
    """Connect to the bus that listens at this path, for as long as the block runs.

    Raises:
        BusError: Something else listens there, or the bus lets nobody in.
        OSError: Nobody listens there, or does not answer within `WITHIN_S`.
    """
    bus = await _connect(socket)
    try:
        yield bus
    finally:
        bus.close()


async def _connect(path: str) -> SystemBus:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        async with asyncio.timeout(WITHIN_S):
            await asyncio.get_running_loop().sock_connect(line, path)
            await _introduce(line)
        bus = SystemBus(line)
        await bus.call(_BUS, "Hello")
    except BaseException:
        line.close()
        raise
    return bus


async def _introduce(line: socket.socket) -> None:
    """Say who we are, which the kernel confirms to the bus."""
    loop = asyncio.get_running_loop()
    talk = Authenticator()
    try:
        for words in talk:
            await loop.sock_sendall(line, words)
            said = await loop.sock_recv(line, _CHUNK)
            if not said:
                raise BusError("the bus closed the connection")
            talk.feed(said)
    except AuthenticationError:
        raise BusError("the bus lets this account not in") from None
    await loop.sock_sendall(line, BEGIN)


def _given(message: Message) -> Answer:
    if message.header.message_type is not MessageType.error:
        return tuple(message.body)
    name = str(message.header.fields.get(HeaderFields.error_name, ""))
    short = name.rpartition(".")[2]
    return BusError(_REASONS.get(short, f"it refuses: {short}"), name)
