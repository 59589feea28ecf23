"""The largest message that the broker takes: what it says itself, and what experience says. Pure."""

_OVERHEAD_BYTES = 5 + 2 + 2 + 1
"""Of a PUBLISH besides topic and payload: fixed header, topic's length, packet identifier, length of the properties.

Source: MQTT 5.0, 3.3.1 and 3.3.2.
"""
_SUSPECT_BYTES = 4 * 1024
"""A broker that takes less than this is none we know of; a smaller message is not what broke a connection."""
_BREAKS = 3


class PacketLimit:
    """Learns for the life of the process.

    A broker of MQTT 5 may name its limit; any other, or one whose limit is the payload's, ends the connection.
    """

    def __init__(self) -> None:
        self._most: int | None = None
        self._suspect: object = None
        self._breaks = 0

    def payload_bytes(self, packet_bytes: int | None, topic: str) -> int | None:
        """Return the largest payload that may be sent; None means any.

        Args:
            packet_bytes: Largest packet, as this connection's broker says.
            topic: Where the payload goes.
        """
        told = None if packet_bytes is None else max(0, packet_bytes - _OVERHEAD_BYTES - len(topic.encode()))
        return min((most for most in (told, self._most) if most is not None), default=None)

    def broke(self, name: object, size_bytes: int) -> bool:
        """Note the largest message under way when a connection broke; tell whether it is held to be the reason now."""
        if size_bytes < _SUSPECT_BYTES:
            return False
        self._breaks = self._breaks + 1 if name == self._suspect else 1
        self._suspect = name
        if self._breaks < _BREAKS:
            return False
        self._most = size_bytes // 2  # may fit
        self._suspect, self._breaks = None, 0
        return True
