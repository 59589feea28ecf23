"""What the head of an HTTP answer says of the way: the page itself, a captive portal, somebody between. Pure.

Source: RFC 9112, sections 4 and 5; RFC 6585, section 6 (511); RFC 9110, section 15.3.5 (204 has no content).
"""

import re
from dataclasses import dataclass

from drivers.probe import AnswerError, Facts

_FIRST = re.compile(r"HTTP/\d(?:\.\d)? (?P<status>\d{3})(?: .*)?", re.ASCII)
_FIELD = re.compile(r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(?P<value>.*?)[ \t]*")
_END = re.compile(rb"\r?\n\r?\n")
_LINE_END = re.compile(r"\r?\n")
_AUTHORITY = re.compile(r"(?:https?:)?//(?:[^/?#@]*@)?(?P<host>[^/?#:@\[\]]+)(?::\d*)?(?:[/?#].*)?", re.IGNORECASE)
_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*")
_LABELS_KEPT = 3  # what stands before may be made for one guest
_NO_CONTENT, _NETWORK_LOGIN = 204, 511
_REDIRECTS = range(300, 400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Facts):
    """How a page that should answer 204 with nothing was answered.

    Attributes:
        status: Of the answer.
        state: ``online`` the page itself, ``captive`` a portal that wants a login, ``intercepted`` anybody else.
        sends_to: Host that a portal sends to, its last labels only; None when it has no name.
    """

    status: int
    state: str
    sends_to: str | None


def parse(raw: bytes) -> Check:
    """Read a head with the empty line that ends it, and what follows of the body.

    Raises:
        AnswerError: It is no head of HTTP, or half of one.
    """
    end = _END.search(raw)
    if end is None:
        raise AnswerError("a head of HTTP and the empty line after it are expected")
    first, *lines = _LINE_END.split(raw[: end.start()].decode("latin-1"))
    status = _FIRST.fullmatch(first)
    if status is None:
        raise AnswerError("a head of HTTP is expected")
    fields = (_FIELD.fullmatch(line) for line in lines)
    headers = {field["name"].lower(): field["value"] for field in fields if field}
    return _judge(int(status["status"]), headers, is_empty=not raw[end.end() :])


def _judge(status: int, headers: dict[str, str], *, is_empty: bool) -> Check:
    if status == _NO_CONTENT and is_empty and headers.get("content-length", "0") == "0":
        return Check(status=status, state="online", sends_to=None)
    if status in _REDIRECTS or status == _NETWORK_LOGIN:
        return Check(status=status, state="captive", sends_to=_host(headers.get("location", "")))
    return Check(status=status, state="intercepted", sends_to=None)


def _host(location: str) -> str | None:
    """Return the host of a redirect without what may be a guest's: address, path, query, first labels."""
    found = _AUTHORITY.fullmatch(location)
    name = found["host"].lower().rstrip(".") if found else ""
    return ".".join(name.split(".")[-_LABELS_KEPT:]) if _NAME.fullmatch(name) else None
