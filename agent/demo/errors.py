"""What can go wrong in a demo."""

from agent.errors import AgentError


class DemoError(AgentError):
    """The demo cannot go on; the text says why, and what to do."""


class Impossible(DemoError):  # noqa: N818 - what it is, in one word
    """The demo cannot be shown on this machine as it is."""
