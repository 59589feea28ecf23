"""Reads the sections of the link, the log and the sealing, and what must hold between their keys."""

import re
from datetime import date, datetime

from agent.config.document import Node
from agent.config.finding import Findings
from agent.config.model import Center, Seal, Spool
from agent.config.section import Section
from agent.config.suggest import choice, near
from drivers.quantity import amount

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<user>[^@/]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)?(?::(?P<port>[^/?#]*))?(?P<rest>.*)"
)
_PORTS = {"mqtts": 8883, "mqtt": 1883}
_HIGHEST_PORT = 65_535
_LOOPBACK = re.compile(r"localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|::1")
_ALLOWED_URL = "mqtts://host:8883, or mqtt://127.0.0.1:1883"
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,14}")  # IFNAMSIZ is 16 with its zero; no path
_FEWEST_SEGMENTS = 2  # one that is written and one that may be removed


def read_center(node: Node | None, findings: Findings) -> Center:
    """Read [center]; where it is wrong the result is filled with defaults."""
    section = Section("center", node, findings)
    insecure = section.flag("insecure")
    url = section.text("url")
    host, port, tls = _endpoint(section.nodes["url"], url, findings, insecure=insecure) if url else ("", 0, True)
    center = Center(
        url=url,
        host=host,
        tcp_port=port,
        tls=tls,
        insecure=insecure,
        protocol="3.1.1" if section.text("protocol") == "3.1.1" else "5",
        metered=section.flag("metered"),
        window_bytes=section.size("window"),
        resend_after_s=section.seconds("resend_after"),
        resend_at_most_s=section.seconds("resend_at_most"),
        backoff_base_s=section.seconds("backoff_base"),
        backoff_cap_s=section.seconds("backoff_cap"),
        first_spread_s=section.seconds("first_spread"),
        progress_within_s=section.seconds("progress_within"),
        keepalive_s=section.seconds("keepalive"),
        quota_bytes=section.optional_size("monthly_quota"),
        quota_reserve=section.share("quota_reserve"),
        quota_counts=_interface(section, findings),
        sim_expires=_day(section, findings),
    )
    resend = ("resend_after", center.resend_after_s), ("resend_at_most", center.resend_at_most_s)
    backoff = ("backoff_base", center.backoff_base_s), ("backoff_cap", center.backoff_cap_s)
    for low, high in (resend, backoff):
        _not_above(section, low, high, findings)
    return center


def _interface(section: Section, findings: Findings) -> str | None:
    name = section.optional_text("quota_counts")
    node = section.nodes.get("quota_counts")
    if name is None or node is None:
        return None
    if not _INTERFACE.fullmatch(name):
        findings.error(
            node.file,
            node.place,
            "this is no network interface",
            given=node.text,
            allowed="its name as `ip link` shows it, such as wwan0",
            cure="write the name of the interface that the SIM pays for",
        )
        return None
    if "monthly_quota" not in section.nodes:
        findings.warning(
            node.file,
            node.key,
            "nothing is counted: there is no quota",
            given=f"quota_counts = {node.text}",
            allowed="beside monthly_quota",
            cure='add monthly_quota = "5 GB", or remove this line',
        )
    return name


def _day(section: Section, findings: Findings) -> str | None:
    """Return a day in its usual form; TOML's own date passes as well as text."""
    node = section.nodes.get("sim_expires")
    if node is None:
        return None
    found = node.value
    if isinstance(found, str):
        try:
            found = date.fromisoformat(found)
        except ValueError:
            found = node.text
    if isinstance(found, date) and not isinstance(found, datetime):
        return found.isoformat()
    findings.error(
        node.file,
        node.place,
        "this is no day",
        given=node.text,
        allowed="year-month-day",
        cure='write the last day of the SIM like sim_expires = "2027-01-31"',
    )
    return None


def read_spool(node: Node | None, findings: Findings) -> Spool:
    """Read [spool]; where it is wrong the result is filled with defaults."""
    section = Section("spool", node, findings)
    spool = Spool(
        folder=folder(section, findings),
        durable_within_s=section.seconds("durable_within"),
        telemetry_cap_bytes=section.size("telemetry_cap"),
        alarm_cap_bytes=section.size("alarm_cap"),
        free_disk_bytes=section.size("free_disk"),
        segment_bytes=section.size("segment"),
        memory_bytes=section.size("memory"),
    )
    least = _FEWEST_SEGMENTS * spool.segment_bytes
    for name, cap_bytes in (("telemetry_cap", spool.telemetry_cap_bytes), ("alarm_cap", spool.alarm_cap_bytes)):
        if cap_bytes < least:
            at = section.nodes.get(name) or section.nodes["segment"]
            findings.error(
                at.file,
                at.place,
                f"{name} is smaller than {_FEWEST_SEGMENTS} segments",
                given=f"{cap_bytes} B, with segments of {spool.segment_bytes} B",
                allowed=f"{least} B or more",
                cure=f'write {name} = "{_bytes(least)}" or more, or a smaller segment',
            )
    return spool


def read_seal(node: Node | None, spool: Spool, findings: Findings) -> Seal:
    """Read [seal]; where it is wrong the result is filled with defaults."""
    section = Section("seal", node, findings)
    seal = Seal(
        live_s=section.seconds("live"),
        metered_s=section.seconds("metered"),
        offline_s=section.seconds("offline"),
        rows=section.integer("rows"),
        plain_bytes=section.size("bytes"),
        empty_after_s=section.seconds("empty_after"),
    )
    at = section.nodes.get("bytes")
    if at is not None and seal.plain_bytes >= spool.segment_bytes:
        findings.error(
            at.file,
            at.place,
            "a batch would not fit into a segment of the spool",
            given=at.text,
            allowed=f"less than the segment, {_bytes(spool.segment_bytes)}",
            cure=f'write bytes = "{_bytes(spool.segment_bytes // 2)}" or less, or a larger segment in [spool]',
        )
    return seal


def folder(section: Section, findings: Findings) -> str:
    """Return the ``folder`` of a section, which stands in full."""
    text = section.text("folder")
    if not text.startswith("/"):
        node = section.nodes["folder"]
        findings.error(
            node.file,
            node.place,
            "the folder is not written in full",
            given=node.text,
            allowed="a path from /",
            cure="write the whole path, starting with /",
        )
    return text


def _endpoint(node: Node, url: str, findings: Findings, *, insecure: bool) -> tuple[str, int, bool]:
    """Return host, port and whether TLS is spoken."""
    match = _URL.fullmatch(url)
    scheme = match["scheme"].lower() if match else ""
    host = (match["host"] or "").strip("[]") if match else ""
    given, what, cure = node.text, "", ""
    if match is None:
        what, cure = "this is no address", f'write it like url = "mqtts://{_plain_host(url)}:8883"'
    elif scheme not in _PORTS:
        what = f'the link does not speak "{scheme}"'
        guesses = near(scheme, _PORTS)
        cure = f"did you mean {choice(f'{guess}://' for guess in guesses)}?" if guesses else "write mqtts://host:8883"
    elif match["user"] is not None:
        given = f'"{scheme}://...@{host}"'  # it may hold a password
        what, cure = "the address holds a name or password", "remove all before the @; the node shows its certificate"
    elif not host:
        what, cure = "the address names no host", f"write it like {scheme}://host:{_PORTS[scheme]}"
    elif match["rest"] not in {"", "/"}:
        what, cure = "the address goes on after host and port", f'remove "{match["rest"]}"'
    elif match["port"] is not None and not _is_port(match["port"]):
        what, cure = "this is no TCP port", f"write {_PORTS[scheme]}, or any from 1 to {_HIGHEST_PORT}"
    elif scheme == "mqtt" and not insecure and not _LOOPBACK.fullmatch(host.lower()):
        what = "plain MQTT to another machine: anyone on the way reads along"
        cure = "write mqtts://, or add insecure = true below [center] on a link that is safe by itself"
    if what or match is None:
        findings.error(node.file, node.place, what, given=given, allowed=_ALLOWED_URL, cure=cure)
        return "", 0, True
    return host, int(match["port"] or _PORTS[scheme]), scheme == "mqtts"


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:6]) <= _HIGHEST_PORT


def _plain_host(url: str) -> str:
    host = re.match(r"[A-Za-z0-9._-]+", url)
    return host.group() if host else "host"


def _not_above(section: Section, lower: tuple[str, float], upper: tuple[str, float], findings: Findings) -> None:
    """Note two times, each with its key, that stand the wrong way round."""
    (low, low_s), (high, high_s) = lower, upper
    if low_s <= high_s:
        return
    at = section.nodes.get(high) or section.nodes[low]
    findings.error(
        at.file,
        at.place,
        f"{high} is below {low}",
        given=at.text,
        allowed=f"{low} up to {high}",
        cure=f'write {high} = "{low_s:.10g} s" or more, or a smaller {low}',
    )


def _bytes(size: int) -> str:
    for unit in ("MiB", "KiB"):
        scale = int(amount(f"1 {unit}", "B"))
        if size and size % scale == 0:
            return f"{size // scale} {unit}"
    return f"{size} B"
