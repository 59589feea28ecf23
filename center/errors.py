"""Errors of the center that are weather, not bugs."""


class CenterError(Exception):
    """Base of every error the center expects and names. The text is for people: what, where, why, what to do."""


class StoreError(CenterError):
    """The store refuses what the center asks of it: disk full, locked, damaged, of another format."""


class LinkLost(CenterError):  # noqa: N818 - the word of the field
    """The link to the broker is gone or was refused; the text names the reason."""


class KeyFolderError(CenterError):
    """A key or certificate is missing, unreadable, in the way, or not what it should be."""
