"""Asks the driver of a radio over nl80211, beside the loop: some take seconds, and some never answer."""

import asyncio
import errno
import socket
import sys

from drivers.driver import Event
from drivers.hotspot.nl80211 import FAMILY, INTERFACE
from drivers.io.answers import reason
from drivers.io.aside import Aside
from drivers.io.generic_netlink import dump
from drivers.probe import AnswerError, Moment, Probe

_ANSWER_S = 4.0
_REST_NS = 900_000_000_000  # some drivers log a fault for each question that they cannot answer
_CANNOT = {errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT}


class Radio:
    """The radio of one interface. A kernel without nl80211 and a driver that cannot tell are no trouble: none asks."""

    def __init__(self, probe: Probe, interface: str) -> None:
        self._probe = probe
        self._interface = interface
        self._aside = Aside(f"radio {probe.info.name}")
        self._from_ns = 0

    async def ask(self, source: str, command: int, now: Moment) -> list[Event]:
        """Hand the answer to a command that dumps to the probe; after a refusal the radio is left alone for a while."""
        if now.boot_ns < self._from_ns:
            return []
        try:
            index = socket.if_nametoindex(self._interface)
        except OSError:
            return self._probe.silent(source, f"no interface is called {self._interface}: see interface in [hotspot]")
        try:
            async with asyncio.timeout(_ANSWER_S):
                raw = await self._aside.run(lambda: _dump(command, index))
        except (OSError, AnswerError) as error:
            self._from_ns = now.boot_ns + _REST_NS
            if isinstance(error, OSError) and error.errno in _CANNOT:
                return []
            why = reason(error) if isinstance(error, OSError) else str(error)
            return self._probe.silent(source, why)
        return self._probe.answer(source, raw, now)


def _dump(command: int, index: int) -> bytes:
    return dump(FAMILY, command, {INTERFACE: index.to_bytes(4, sys.byteorder)}, within_s=_ANSWER_S)
