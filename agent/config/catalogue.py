"""The alarms that come with the node's own probes: what a hotspot, a kiosk and their box are watched for. Pure.

Thresholds are those of the project's research on hotspots, where no source below says otherwise. Each rule names in
``mute_when`` what explains it, so that a fault is told once, by its own layer. A rule whose channel this node does not
have is not there.
"""

from dataclasses import dataclass
from typing import Literal

_HOLD_OFF_S = 300.0  # services of a box that has just started need so long to come up
_NEED_NO_START = frozenset({"kiosk/door-open", "link", "power", "storage"})  # and some are read once a day

MAY_LACK = frozenset(
    {
        "clients/signal-p10",
        "clients/ghosts",
        "clients/retry",
        "clients/fail",
        "clients/mute",
        "dhcp/pool-used",
        "host/boots",
        "dns/local-ms",
        "dns/up-ms",
        "portal/login-stuck",
        "time/offset",
        "wan/gw-rtt",
        "wan/net-rtt",
        "wan/net-jitter",
    }
)
"""Channels that have a value only sometimes: with enough guests, while something answers, while the clock is kept."""

SLOW_S = {
    "power/undervolt-ever": 60.0,
    "power/throttled-now": 60.0,
    "storage/root-used": 300.0,
    "storage/ext4-errors": 300.0,
    "storage/write-bytes": 300.0,
    "storage/mmc-life": 86_400.0,
    "storage/mmc-preeol": 86_400.0,
    "dns/hijacked": 300.0,
}
"""Channels that their probe reads more seldom than its pace says, with the seconds between two readings."""

_SHARE = 0.1  # of the mildest threshold: how far a value must come back

BAD_UNIT = ("failed", "inactive", "auto-restart", "not-found", "masked")
"""States of a systemd unit that must run and does not."""

Section = Literal["center", "host", "hotspot", "kiosk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """One rule that comes with a section.

    Attributes:
        name: The alarm; one that ends in ``*`` stands for one alarm per channel that its ``watch`` matches.
        section: Of the configuration.
        watch: ``sensor/channel``; ``*`` at the end matches any rest.
        levels: Thresholds in the channel's unit, mild to severe; of states one level, its threshold means nothing.
        states: What raises it where the channel is a state or a text.
        falling: Low values are bad.
        rise_within_s: A counter's rise within this time is compared.
        for_s: How long it must last.
        hysteresis: Way back; None takes a tenth of the mildest threshold.
        mute_when: What explains it; ``*`` at the end matches any rest.
        in_open_hours: It is awake in the hotspot's open_hours only, and not there without them.
        tells: What it says, for people.
    """

    name: str
    section: Section
    watch: str
    levels: tuple[tuple[str, float], ...]
    states: tuple[str | bool, ...] = ()
    falling: bool = False
    rise_within_s: float | None = None
    for_s: float = 0.0
    hysteresis: float | None = None
    mute_when: tuple[str, ...] = ()
    in_open_hours: bool = False
    tells: str

    @property
    def hold_off_s(self) -> float:
        """Seconds after a start in which it looks away."""
        return 0.0 if _NEED_NO_START & {self.watch, self.watch.partition("/")[0]} else _HOLD_OFF_S

    @property
    def back(self) -> float:
        """How far a value must come back before a level is left; a rise must end."""
        if self.states or self.rise_within_s is not None:
            return 0.0
        return round(abs(self.levels[0][1]) * _SHARE, 9) if self.hysteresis is None else self.hysteresis
