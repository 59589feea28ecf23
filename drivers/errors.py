"""Errors of the drivers. Weather (unplugged, garbled, silent) has a name here; anything else is a bug."""


class DriverError(Exception):
    """Base of every error a driver or a port raises."""


class FrameError(DriverError):
    """A whole frame arrived but failed a check."""

    def __init__(self, reason: str, raw: bytes) -> None:
        super().__init__(f"{reason}: {raw.hex(' ')}")
        self.reason = reason
        self.raw = raw


class PortLost(DriverError):  # noqa: N818 - the word of the field
    """The port is gone: unplugged, hung up, refused or never there. ``reason`` says which and what to do."""

    def __init__(self, port: str, reason: str) -> None:
        super().__init__(f"{port}: {reason}")
        self.port = port
        self.reason = reason


class NotPlugged(PortLost):
    """Nothing is plugged in where the port should be; to look again costs little."""


class ProfileError(DriverError):
    """A profile contradicts itself or one of its own vectors."""


class AddedError(DriverError):
    """A driver that was added to this box cannot be used; the others can.

    Attributes:
        reason: What is wrong with it.
        cure: What to do.
    """

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(f"{reason}; {cure}")
        self.reason = reason
        self.cure = cure


class UnknownDriver(DriverError):  # noqa: N818
    """No driver, profile or model has this name."""

    def __init__(self, name: str, near: tuple[str, ...] = ()) -> None:
        hint = f"; did you mean {' or '.join(near)}?" if near else "; `gardu driver list` shows all"
        super().__init__(f"no driver, profile or model is called {name!r}{hint}")
        self.name = name
        self.near = near


class OptionError(DriverError):
    """An option given to a driver is unknown or has a value it cannot take."""

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(f"{option}: {reason}")
        self.option = option
        self.reason = reason
