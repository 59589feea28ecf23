"""Cellular modems: signal, registration, operator and prepaid quota by AT commands. No I/O.

Source: 3GPP TS 27.007 V17: 8.5 +CSQ, 8.69 +CESQ, 7.2 +CREG, 10.1.22 +CEREG, 7.3 +COPS, 7.15 +CUSD; ITU-T V.250, 5.7
(result codes). Sent are the questions below and USSD codes that the technician declares; nothing that sets or dials.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from drivers.driver import Ask, Channel, DriverInfo, Event, Line, Option, OptionValue, Problem, Transaction, Verdict
from drivers.errors import OptionError
from drivers.framing import Fault, LineFrame
from drivers.serial.asked import Asked
from drivers.serial.decoded import Decoded
from drivers.serial.number import ratio
from drivers.serial.options import Options, paced, quantity
from drivers.serial.polled import Question
from drivers.serial.stream import Said, Value

_NS = 1_000_000_000
_LONGEST = 512
_SELDOM = 1000  # the echo is switched off at the start, and now and then again
_UNKNOWN = 99
_UNKNOWN_BYTE = 255
_STATUS = ("AT+CSQ", "AT+CESQ", "AT+CEREG?", "AT+CREG?", "AT+COPS?")
_FINAL = re.compile(rb"OK|ERROR|\+CM[ES] ERROR: .*|COMMAND NOT SUPPORT")
_INFO = re.compile(r"\+([A-Z0-9]{2,8}): ?(.*)")
_ASKED_NETWORKS = ("CREG", "CEREG")
_OTHER_NETWORKS = ("CGREG", "C5GREG")  # 10.1.20 and 10.1.47; of 3GPP, the same form
_HOME, _ROAMING = 1, 5  # TS 27.007, 7.2: 6 to 10 are SMS only, emergency and CSFB variants
_REGISTERED = (_HOME, _ROAMING, 6, 7, 9, 10)
_OUT_OF_SIGHT = 4  # "unknown"
_AWAY = (_ROAMING, 7, 10)
_ACCESS = {
    0: "gsm",
    1: "gsm",
    2: "utran",
    3: "edge",
    4: "hsdpa",
    5: "hsupa",
    6: "hspa",
    7: "lte",
    8: "ec_gsm_iot",
    9: "nb_iot",
    10: "lte_5gc",
    11: "nr",
    12: "nr",
    13: "en_dc",
}
_USSD = re.compile(rb'\+CUSD: ?(\d)(?:, ?"([^"]*)"(?:, ?(\d{1,3}))?)?\s*\r?\n')
_CODE = re.compile(r"[*#][*#0-9]{1,30}#")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_UCS2 = 72  # data coding scheme, TS 23.038, 5
_USSD_KEYS = ("code", "pattern", "unit", "every")
_USSD_NS = 30 * _NS  # a network may think so long
_USSD_LEAST_S = 600  # and may ask money

INFO = DriverInfo(
    name="modem_at",
    title="cellular modem, its signal and registration (AT commands)",
    family="modem_at",
    models=("modem_lte",),
    line=Line(baud=115200),
    mode="poll",
    channels=(
        Channel(name="rssi", unit="dBm", low=-113.0, high=-51.0, doc="all that is received (+CSQ)"),
        Channel(name="rsrp", unit="dBm", low=-141.0, high=-44.0, doc="of the LTE cell (+CESQ)"),
        Channel(name="rsrq", unit="dB", low=-20.0, high=-3.0, doc="quality of the LTE cell (+CESQ)"),
        Channel(name="registered", unit="1", kind="state", doc="the network serves it, at home or roaming"),
        Channel(name="roaming", unit="1", kind="state", doc="by a foreign network; only while registered"),
        Channel(name="operator", unit="1", kind="text", doc="as the modem names it"),
        Channel(name="access", unit="1", kind="text", doc="gsm, utran, hspa, lte, nb_iot, nr ..."),
    ),
    options=(
        Option(
            name="ussd",
            kind="table",
            doc="channel = { code, pattern with one group for the number, unit, every }: quota by USSD; may cost money",
            example='{ quota = { code = "*888#", pattern = "([0-9.]+) ?MB", unit = "MB", every = "6 h" } }',
        ),
    ),
    every_s=30.0,
    min_every_s=2.0,
    stale_after_s=120.0,
    integrity="none",
    confirm=2,
    source="3GPP TS 27.007 V17; ITU-T V.250",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quota:
    """One declared USSD query: what is sent, how seldom, and where the number stands in the answer."""

    channel: Channel
    request: bytes
    every_ns: int
    pattern: re.Pattern[str]


class Modem(Asked):
    """Driver of one modem. An answer is all lines up to its result code; unsolicited ones may stand between.

    Args:
        sensor: Its name.
        info: What it is.
        quotas: USSD queries that the technician declared.
        lone: Each line stands for itself, for `decode`.
    """

    def __init__(self, sensor: str, *, info: DriverInfo, quotas: Sequence[_Quota], lone: bool) -> None:
        asked = [b"ATE0\r", *(f"{command}\r".encode() for command in _STATUS), *(quota.request for quota in quotas)]
        super().__init__(
            sensor,
            info=replace(info, channels=(*info.channels, *(quota.channel for quota in quotas))),
            codec=_lines,
            meaning=_Meaning({quota.request: quota for quota in quotas}, lone=lone).of,
            questions=[
                Question(
                    request=request,
                    answered_by=lambda _: True,
                    reply_bytes=_LONGEST,
                    polls=_SELDOM if request == asked[0] else 1,
                )
                for request in asked
            ],
            timeout_s=5.0,
            line_end=b"\n",
        )
        self._ussd_every_ns = {quota.request: quota.every_ns for quota in quotas}
        self._ussd_due_ns: dict[bytes, int] = {}
        self._refusals: dict[bytes, str] = {}

    def tick(self, now_ns: int) -> list[Event]:
        """Ask what is due; a USSD query only by its own pace, however often the port is opened again."""
        events = super().tick(now_ns)
        for event in events:
            if isinstance(event, Ask) and event.transaction.request in self._ussd_every_ns:
                request = event.transaction.request
                self._ussd_due_ns[request] = now_ns + self._ussd_every_ns[request]
        return events

    def _wants(self, request: bytes, now_ns: int) -> bool:
        return now_ns >= self._ussd_due_ns.get(request, now_ns)

    def _transaction(self, question: Question) -> Transaction:
        asked = super()._transaction(question)
        return replace(asked, timeout_ns=_USSD_NS) if question.request.startswith(b"AT+CUSD") else asked

    def _match(self, question: Question, data: bytes, now_ns: int) -> Verdict | None:
        before, echo, behind = data.partition(question.request)
        heard = behind if echo else before
        lines = [piece for piece in _lines().feed(heard) if isinstance(piece, bytes)]
        result = next((at for at, line in enumerate(lines) if _FINAL.fullmatch(line)), None)
        if result is None:
            return None
        refusal = "" if lines[result] == b"OK" else lines[result].decode("ascii", "replace")
        events: list[Event] = []
        if question.request.startswith(b"AT+CUSD") and not refusal:
            answer = _USSD.search(heard)
            if answer is None:
                return None  # OK only means that the network was asked
            events += self._say(self._meaning(question.request + b"\n" + answer[0]), now_ns)
        for line in lines[:result]:
            if line.startswith(b"+") and not line.startswith(b"+CUSD"):
                events += self._say(self._meaning(line), now_ns)
        if refusal != self._refusals.get(question.request, ""):
            self._refusals[question.request] = refusal
            command = question.request.strip().decode()
            events.append(Problem(sensor=self.sensor, code=f"refused-{command}", detail=refusal, ok=not refusal))
        self._unanswered = 0
        return self._answered(question, Verdict(used=len(data), events=tuple(events)))


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Modem:
    """Make the driver of one modem.

    Raises:
        OptionError: An option cannot be used.
    """
    return _make(name, sensor, options, every_s, lone=False)


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what lines mean, solicited or not.

    Raises:
        OptionError: An option cannot be used.
    """
    return _make(name, name, options, None, lone=True).decode(frames)


def _make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None, *, lone: bool) -> Modem:
    del name  # all speak alike
    quotas = [_quota(channel, given) for channel, given in Options(INFO, options).table("ussd").items()]
    return Modem(sensor, info=paced(INFO, every_s), quotas=quotas, lone=lone)


def _quota(channel: str, given: OptionValue) -> _Quota:
    """One declared USSD query.

    Raises:
        OptionError: It cannot be used.
    """
    where = f"ussd.{channel}"
    if not _NAME.fullmatch(channel) or channel in {known.name for known in INFO.channels}:
        raise OptionError(where, "is no free channel name: a-z, 0-9, _ and -, at most 32")
    if not isinstance(given, Mapping) or set(given) - set(_USSD_KEYS):
        raise OptionError(where, f"takes a table of {', '.join(_USSD_KEYS)}")
    code = str(given.get("code", ""))
    if not _CODE.fullmatch(code):
        raise OptionError(f"{where}.code", f'{code!r} is no USSD code such as "*888#"')
    try:
        pattern = re.compile(str(given.get("pattern", "")), re.IGNORECASE)
    except re.error as error:
        raise OptionError(f"{where}.pattern", f"is no regular expression: {error}") from error
    if pattern.groups != 1:
        raise OptionError(f"{where}.pattern", "needs one group around the number")
    every_s = quantity(str(given.get("every", "6 h")), "s")
    if every_s is None or every_s < _USSD_LEAST_S:
        raise OptionError(f"{where}.every", f"is no time of {_USSD_LEAST_S} s or more")
    return _Quota(
        channel=Channel(name=channel, unit=str(given.get("unit", "1")), doc=f"by USSD {code}"),
        request=f'AT+CUSD=1,"{code}",15\r'.encode(),
        every_ns=round(every_s * _NS),
        pattern=pattern,
    )


def _lines() -> LineFrame:
    return LineFrame(b"\r\n", _LONGEST, _check)


def _check(line: bytes) -> Fault | None:
    return None if line.isascii() else Fault(reason="line", detail="bytes that are no text")


class _Meaning:
    """What lines say.

    Args:
        quotas: Declared USSD queries by their request.
        lone: Each line stands for itself. Otherwise registration is told once per round, when +CREG has come behind
            +CEREG: a modem on LTE may be registered by one alone.
    """

    def __init__(self, quotas: Mapping[bytes, _Quota], *, lone: bool) -> None:
        self._quotas = quotas
        self._lone = lone
        self._states: dict[str, int] = {}
        self._by_name: dict[str, Callable[[list[str]], list[Value]]] = {
            "CSQ": _csq,
            "CESQ": _cesq,
            "COPS": _cops,
        }
        for name in (*_ASKED_NETWORKS, *(_OTHER_NETWORKS if lone else ())):
            self._by_name[name] = partial(self._registration, name)

    def of(self, line: bytes) -> Said:
        """The values of one line."""
        if line.startswith(b"AT+CUSD"):
            return self._ussd(line)
        match = _INFO.fullmatch(line.decode("ascii", "replace").strip())
        reader = self._by_name.get(match[1]) if match else None
        if match is None or reader is None:
            return Said(
                detail="" if _FINAL.fullmatch(line) else "a line that says nothing of the network", settles=False
            )
        values = reader([field.strip() for field in match[2].split(",")])
        return Said(
            values=tuple(values), detail="" if values else f"+{match[1]}: the modem does not know", settles=False
        )

    def _registration(self, name: str, fields: list[str]) -> list[Value]:
        """+CREG: <n>,<stat>.. is an answer, +CREG: <stat>.. comes unasked: the number of fields tells."""
        solicited = len(fields) > 1 and re.fullmatch(r"\d{1,2}", fields[1]) is not None
        state = _number(fields[1] if solicited else fields[0])
        if state is None:
            return []
        self._states[name] = state
        if not self._lone and name != "CREG":
            return []
        states = [one for one in ([state] if self._lone else self._states.values()) if one != _OUT_OF_SIGHT]
        if not states:
            return []
        served = next((one for one in states if one in _REGISTERED), None)
        values = [Value(channel="registered", value=served is not None)]
        if served is not None:
            values.append(Value(channel="roaming", value=served in _AWAY))
        return values

    def _ussd(self, line: bytes) -> Said:
        request, _, answer = line.partition(b"\n")
        quota = self._quotas.get(request)
        if quota is None:
            return Said(detail="an answer to a question that nobody asked", settles=False)
        match = _USSD.search(answer)
        text = _ussd_text(match[2] or b"", int(match[3] or 0)) if match else ""
        found = quota.pattern.search(text)
        number = ratio(found[1].replace(",", ".")) if found and found[1] else None
        if number is None:
            return Said(detail=f"{quota.channel.name}: the answer does not fit the pattern", settles=False)
        return Said(values=(Value(channel=quota.channel.name, value=number.num / number.den),), settles=False)


def _ussd_text(raw: bytes, scheme: int) -> str:
    text = raw.decode("latin-1")
    if scheme != _UCS2:
        return text
    try:
        return bytes.fromhex(text).decode("utf-16-be", "replace")
    except ValueError:
        return text


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,3}", text) else None


def _csq(fields: list[str]) -> list[Value]:
    level = _number(fields[0])
    if len(fields) != 2 or level is None or level > 31:  # noqa: PLR2004 - 99 is unknown, 100 and more another system
        return []
    return [Value(channel="rssi", value=-113 + 2 * level)]


def _cesq(fields: list[str]) -> list[Value]:
    """rxlev, ber, rscp, ecno, rsrq, rsrp."""
    if len(fields) < 6:  # noqa: PLR2004 - as named
        return []
    rsrq, rsrp = _number(fields[4]), _number(fields[5])
    values: list[Value] = []
    if rsrp is not None and rsrp <= 97:  # noqa: PLR2004 - 255 is unknown
        values.append(Value(channel="rsrp", value=-141 + rsrp))
    if rsrq is not None and rsrq <= 34:  # noqa: PLR2004 - 255 is unknown
        values.append(Value(channel="rsrq", value=-20 + rsrq / 2))
    return values


def _cops(fields: list[str]) -> list[Value]:
    """mode, format, operator, access technology; the mode alone while there is no operator."""
    values: list[Value] = []
    if _number(fields[0]) is None:  # the list of what there is, or was asked for by another
        return values
    if len(fields) > 2 and (name := fields[2].strip('"')):  # noqa: PLR2004 - as named
        values.append(Value(channel="operator", value=name[:64]))
    technology = _number(fields[3]) if len(fields) > 3 else None  # noqa: PLR2004 - as named
    if technology in _ACCESS:
        values.append(Value(channel="access", value=_ACCESS[technology]))
    return values
