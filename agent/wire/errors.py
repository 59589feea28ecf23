"""Why a message is refused."""

from enum import StrEnum


class Reason(StrEnum):
    """The first check that failed, in the order of checking."""

    SIZE = "size"
    FORM = "form"
    NOT_CANONICAL = "not_canonical"
    VERSION = "version"
    ALGORITHM = "algorithm"
    KID_UNKNOWN = "kid_unknown"
    SIGNATURE = "signature"
    NODE = "node"
    DIGEST = "digest"
    CODING = "coding"
    BODY = "body"
    COUNT = "count"


class WireError(Exception):
    """A message is refused. ``reason`` is for programs, the text for people."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
