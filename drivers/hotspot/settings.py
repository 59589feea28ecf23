"""Where the sources of a hotspot are and what is asked of them: section ``[hotspot]`` of the configuration."""

from dataclasses import dataclass

from drivers.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class HotspotSettings:
    """One access point and what stands behind it."""

    interface: str = setting("wlan0", "interface of the radio, as the kernel names it")
    hostapd: str = setting("/run/hostapd", "folder of hostapd's control sockets; empty where none runs", kind="path")
    leases: str = setting("/var/lib/misc/dnsmasq.leases", "dnsmasq's file of leases", kind="path")
    pool: str = setting("", "first and last address of the DHCP pool, such as 10.20.0.2-10.20.0.254")
    resolver: str = setting("127.0.0.1", "the hotspot's own DNS server, host or host:port", kind="endpoint")
    upstream: str = setting("", "a DNS server of the uplink; empty takes the system's", kind="endpoint")
    resolv_conf: str = setting("/etc/resolv.conf", "the system's list of DNS servers", kind="path")
    dns_name: str = setting("example.com", "the name that is looked up")
    dnsmasq_bus: bool = setting(False, "ask dnsmasq over D-Bus too; it needs enable-dbus")
    portal: str = setting("none", "the captive portal that runs here", choices=("none", "opennds", "chilli"))
    opennds: str = setting("/tmp/ndsctl.sock", "openNDS's control socket", kind="path")  # noqa: S108 - its own place
    chilli: str = setting("/usr/sbin/chilli_query", "program that asks CoovaChilli", kind="path")
    portal_url: str = setting("", "page that a guest must be able to load", kind="url")
    portal_api: str = setting("", "captive portal API of RFC 8908", kind="url")
    checks: tuple[str, ...] = setting(
        ("http://connectivitycheck.gstatic.com/generate_204", "http://cp.cloudflare.com/generate_204"),
        "pages that answer 204 with nothing, on hosts of different owners",
        kind="url",
    )
    ping: tuple[str, ...] = setting(("1.1.1.1", "8.8.8.8"), "addresses beyond the gateway that answer echoes")
    backup: tuple[str, ...] = setting((), "interfaces over which the uplink is only a spare")
    radius: str = setting("", "the RADIUS server of the guests, host:port", kind="endpoint")
    radius_secret: str = setting("", "file that holds its shared secret", kind="path")
    units: tuple[str, ...] = setting(("hostapd.service", "dnsmasq.service"), "systemd units of the hotspot")
    bus: str = setting("/run/dbus/system_bus_socket", "socket of the system bus", kind="path")
    client_limit: int = setting(0, "most guests the place is made for; 0 means any number")
    privacy: str = setting("counts", "strict sends counts of guests below 5 as <5", choices=("counts", "strict"))
    every_metric: bool = setting(False, "also what the core set leaves out")
    proc: str = setting("/proc", "where /proc is", kind="path")
    sys: str = setting("/sys", "where /sys is", kind="path")
    run: str = setting("/run", "where /run is", kind="path")
