"""Errors of the agent that are weather, not bugs."""


class AgentError(Exception):
    """Base of every error the agent expects and names. The text is for people: what, where, why, what to do."""


class ConfigError(AgentError):
    """The configuration cannot be used; the problems say why."""


class KeyFileError(AgentError):
    """A key or certificate file is missing, unreadable or not what it should be."""


class LinkLost(AgentError):  # noqa: N818 - the word of the field
    """The link to the broker is gone or was refused; the text names the reason."""


class Declined(LinkLost):
    """The broker took a message off the wire and refused it; the link itself stands. The text says what to do."""


class SpoolError(AgentError):
    """The disk refuses what the spool asks of it."""
