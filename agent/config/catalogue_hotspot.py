"""The alarms that come with a hotspot, layer by layer: radio, lease, name, portal, login, internet. Pure."""

from agent.config.catalogue import BAD_UNIT, Default
from agent.config.catalogue_box import CENTER, HOST, KIOSK

_MIN = 60.0
_HOUR = 3600.0
_ALARM = (("alarm", 0.5),)
_WARNING = (("warning", 0.5),)
_TRUE, _FALSE = (True,), (False,)
_NO_WAN = ("wan-down", "wan-captive", "wan-intercepted")
_AIR_DB = 3.0  # way back for what is told in dBm


def _rule(
    name: str,
    watch: str,
    tells: str,
    *,
    above: tuple[float, ...] = (),
    below: tuple[float, ...] = (),
    states: tuple[str | bool, ...] = (),
    severity: str = "warning",
    minutes: float = 0.0,
    rise_within_s: float | None = None,
    hysteresis: float | None = None,
    mute_when: tuple[str, ...] = (),
    in_open_hours: bool = False,
) -> Default:
    names = (severity,) if len(above or below) < 2 else ("warning", "alarm")  # noqa: PLR2004 - one level or both
    return Default(
        name=name,
        section="hotspot",
        watch=watch,
        levels=tuple(zip(names, above or below or (0.5,), strict=True)),
        states=states,
        falling=bool(below),
        rise_within_s=rise_within_s,
        for_s=minutes * _MIN,
        hysteresis=hysteresis,
        mute_when=mute_when,
        in_open_hours=in_open_hours,
        tells=tells,
    )


_RADIO = (
    _rule("ap-down", "ap/up", "the access point is off the air", states=_FALSE, severity="alarm", minutes=2),
    _rule(
        "ap-restarts",
        "ap/starts",
        "the access point went on the air three times in an hour",
        above=(3,),
        rise_within_s=_HOUR,
        mute_when=("ap-down",),
    ),
    _rule("channel-busy", "ap/util", "the radio channel is crowded", above=(0.7,), minutes=15, mute_when=("ap-down",)),
    _rule(
        "channel-noisy",
        "ap/noise",
        "something disturbs the radio channel",
        above=(-80,),
        minutes=15,
        hysteresis=_AIR_DB,
        mute_when=("ap-down",),
    ),
    _rule(
        "clients-none",
        "clients/auth",
        "not one guest for two hours while the place is open",
        below=(0,),
        minutes=120,
        hysteresis=0.0,
        mute_when=("ap-down", "portal-down", "mains-lost", *_NO_WAN),
        in_open_hours=True,
    ),
    _rule("clients-too-many", "clients/over-limit", "more guests than the place is made for", states=_TRUE, minutes=15),
    _rule(
        "clients-not-let-in",
        "clients/pending",
        "guests reach the radio and cannot log in to it",
        above=(6,),
        minutes=10,
        hysteresis=1.0,
        mute_when=("ap-down", "radius-down", "radius-silent"),
    ),
    _rule(
        "clients-flapping",
        "clients/flapping",
        "few guests come and go all the time",
        states=_TRUE,
        minutes=5,
        mute_when=("ap-down", "ap-restarts"),
    ),
    _rule(
        "clients-weak",
        "clients/signal-p10",
        "a tenth of the guests is heard badly",
        below=(-82,),
        minutes=30,
        hysteresis=_AIR_DB,
        mute_when=("ap-down",),
    ),
    _rule(
        "clients-ghosts",
        "clients/ghosts",
        "most of the guests that are listed are not there",
        above=(0.5,),
        minutes=30,
        mute_when=("ap-down",),
    ),
    _rule(
        "clients-retries",
        "clients/retry",
        "many frames must be sent again",
        above=(0.4,),
        minutes=15,
        mute_when=("ap-down", "channel-busy", "channel-noisy", "clients-weak"),
    ),
    _rule(
        "clients-losses",
        "clients/fail",
        "many frames never arrive",
        above=(0.05,),
        minutes=15,
        mute_when=("ap-down", "channel-busy", "channel-noisy", "clients-weak"),
    ),
    _rule(
        "radio-deaf",
        "clients/mute",
        "guests are there, and the radio receives nothing from them",
        states=_TRUE,
        severity="alarm",
        mute_when=("ap-down",),
    ),
)

_LEASE = (
    _rule(
        "lease-pool-full",
        "dhcp/pool-used",
        "the DHCP pool has no address left for the next guest",
        above=(0.85, 0.97),
        minutes=2,
        hysteresis=0.05,
    ),
    _rule(
        "lease-refused",
        "dhcp/refused",
        "guests ask for an address and get no offer",
        above=(1,),
        rise_within_s=600.0,
        minutes=10,  # not less than its window, or what a full pool refused is told after the pool has room again
        mute_when=("lease-pool-full", "dns-dead"),  # one program gives both
    ),
)

_NAMES = (
    _rule(
        "dns-dead",
        "dns/fail",
        "the hotspot's own DNS server does not answer",
        above=(0.2,),
        severity="alarm",
        minutes=5,
        mute_when=("dns-upstream-dead", "mains-lost", *_NO_WAN),
    ),
    _rule(
        "dns-upstream-dead",
        "dns/up-fail",
        "the DNS server of the uplink does not answer",
        above=(0.2,),
        severity="alarm",
        minutes=5,
        mute_when=("mains-lost", *_NO_WAN),
    ),
    _rule(
        "dns-slow",
        "dns/local-ms",
        "the hotspot's own DNS server is slow",
        above=(200,),
        minutes=10,
        mute_when=("dns-dead", "dns-upstream-dead", "dns-upstream-slow", "internet-slow", "wan-down"),
    ),
    _rule(
        "dns-upstream-slow",
        "dns/up-ms",
        "the DNS server of the uplink is slow",
        above=(500,),
        minutes=10,
        mute_when=("dns-upstream-dead", "internet-slow", "internet-lossy", "wan-down"),
    ),
    _rule(
        "dns-hijacked",
        "dns/hijacked",
        "somebody on the way answers DNS with addresses of his own",
        states=_TRUE,
        mute_when=("dns-dead", *_NO_WAN),
    ),
)

_PORTAL = (
    _rule(
        "portal-down",
        "portal/up",
        "the captive portal's program does not answer",
        states=_FALSE,
        severity="alarm",
        minutes=3,
    ),
    _rule(
        "portal-page-down",
        "portal/page-up",
        "guests cannot load the portal's page",
        states=_FALSE,
        severity="alarm",
        minutes=3,
        mute_when=("portal-down", "dns-dead", "mains-lost", *_NO_WAN),
    ),
    _rule(
        "portal-api-broken",
        "portal/api-ok",
        "the captive portal API does not answer as RFC 8908 wants",
        states=_FALSE,
        minutes=15,
        mute_when=("portal-down", "portal-page-down", "dns-dead", "mains-lost", *_NO_WAN),
    ),
    _rule(
        "login-stuck",
        "portal/login-stuck",
        "guests wait before the portal and nobody comes through",
        states=_TRUE,
        severity="alarm",
        mute_when=(
            "portal-down",
            "portal-page-down",
            "radius-down",
            "radius-silent",
            "dns-dead",
            "mains-lost",
            *_NO_WAN,
        ),
    ),
)

_LOGIN = (
    _rule(
        "radius-down",
        "svc/radius-up",
        "the RADIUS server does not answer, or the secret is wrong",
        states=_FALSE,
        severity="alarm",
        minutes=2,
        mute_when=("mains-lost", *_NO_WAN),
    ),
    _rule(
        "radius-silent",
        "svc/radius-silent",
        "logins of guests get no answer from RADIUS",
        states=_TRUE,
        severity="alarm",
        minutes=3,
        mute_when=("radius-down", "mains-lost", *_NO_WAN),
    ),
)

_INTERNET = (
    _rule(
        "wan-down",
        "wan/state",
        "no way to the internet",
        states=("down",),
        severity="alarm",
        minutes=2,
        mute_when=("mains-lost",),
    ),
    _rule(
        "wan-captive",
        "wan/state",
        "the uplink's own captive portal stands in the way",
        states=("captive",),
        severity="alarm",
        minutes=2,
    ),
    _rule(
        "wan-intercepted",
        "wan/state",
        "the uplink answers in place of the internet",
        states=("intercepted",),
        severity="alarm",
        minutes=2,
    ),
    _rule(
        "wan-on-backup",
        "wan/on-backup",
        "the uplink is the spare one",
        states=_TRUE,
        minutes=30,
        mute_when=("mains-lost",),
    ),
    _rule(
        "gateway-slow",
        "wan/gw-rtt",
        "the gateway answers slowly",
        above=(100,),
        minutes=10,
        mute_when=("gateway-lossy", "mains-lost", "wan-down"),
    ),
    _rule(
        "gateway-lossy",
        "wan/gw-loss",
        "the way to the gateway loses much",
        above=(0.2,),
        minutes=5,
        mute_when=("mains-lost", "wan-down"),
    ),
    _rule(
        "internet-slow",
        "wan/net-rtt",
        "the internet answers slowly",
        above=(300,),
        minutes=15,
        mute_when=("gateway-slow", "gateway-lossy", "mains-lost", *_NO_WAN),
    ),
    _rule(
        "internet-unsteady",
        "wan/net-jitter",
        "answers of the internet come unsteadily",
        above=(50,),
        minutes=15,
        mute_when=("internet-slow", "gateway-slow", "gateway-lossy", "mains-lost", *_NO_WAN),
    ),
    _rule(
        "internet-lossy",
        "wan/net-loss",
        "the way to the internet loses much",
        above=(0.05,),
        minutes=10,
        mute_when=("gateway-lossy", "mains-lost", *_NO_WAN),
    ),
    _rule(
        "connections-full",
        "wan/conntrack-used",
        "the kernel's table of connections is full",
        above=(0.8, 0.95),
        minutes=2,
    ),
    _rule(
        "connections-dropped",
        "wan/conntrack-drops",
        "the kernel had to drop connections",
        above=(1,),
        rise_within_s=600.0,
        mute_when=("connections-full",),
    ),
)

_SERVICES = (
    _rule(
        "unit-*",
        "svc/unit-*",
        "a program that the hotspot needs does not run",
        states=BAD_UNIT,
        severity="alarm",
        minutes=6,
        mute_when=("ap-down", "dns-dead", "portal-down"),
    ),
    _rule(
        "units-restarting",
        "svc/restarts",
        "a program of the hotspot was started again three times in an hour",
        above=(3,),
        rise_within_s=_HOUR,
        mute_when=("ap-restarts", "unit-*"),
    ),
)

HOTSPOT = _RADIO + _LEASE + _NAMES + _PORTAL + _LOGIN + _INTERNET + _SERVICES
DEFAULTS = CENTER + HOST + HOTSPOT + KIOSK
"""All of them."""
