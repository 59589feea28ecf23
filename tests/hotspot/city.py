"""A hotspot without a radio: a gateway with hostapd, dnsmasq and openNDS, its guests, and the world behind its uplink.

Each stands in a network namespace of its own. ``wlan0`` of the gateway is a bridge that the guests are plugged into.
"""

import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.hotspot.internet import ADDRESSES, DNS, RADIUS, WELL
from tests.hotspot.namespaces import Namespaces, entering, ip
from tests.hotspot.programs import Program, until
from tests.node.system_bus import bus_config

GUESTS = 5
_AT_HOME = (1, 2)
GATEWAY, WORLD = "10.20.0.1", "198.51.100.1"
_UPLINK = "198.51.100.2"
_SECRET = "a secret of the city"  # noqa: S105 - of a test
POOL = ("10.20.0.2", "10.20.0.5")
_LEASE = "48h"  # longer than the longest simulated day

HOSTAPD = """interface=wlan0
driver=none
ctrl_interface={folder}/hostapd
ssid=WiFi Kota
channel=6
hw_mode=g
"""
RADIUSD = """prefix = /usr
libdir = /usr/lib/freeradius
logdir = {folder}
run_dir = {folder}
pidfile = {folder}/radiusd.pid
max_requests = 1024
log {{
  destination = stdout
}}
security {{
  status_server = yes
}}
thread pool {{
  start_servers = 1
  max_servers = 2
  min_spare_servers = 1
  max_spare_servers = 1
  max_requests_per_server = 0
}}
modules {{
}}
client gateway {{
  ipaddr = {uplink}
  secret = "{secret}"
}}
server default {{
  listen {{
    type = auth
    ipaddr = {radius}
    port = 1812
  }}
  authorize {{
  }}
}}
"""
OPENNDS = """GatewayInterface wlan0
GatewayName Gardu Test
login_option_enabled 1
FirewallRuleSet users-to-router {
  FirewallRule allow udp port 53
  FirewallRule allow udp port 67
}
"""
# The machine's own /etc, /run and /tmp are not for openNDS's scripts to write in, nor its services theirs to restart.
# One that was killed leaves its rules behind, and the next one does not start over them.
_OPENNDS = """set -e
mount --bind /etc /etc && mount -o remount,bind,ro /etc
mount --bind {folder}/leases /var/lib/misc
mount -t tmpfs none /run
mount --bind {folder}/nds /tmp
PATH=/tmp/bin:$PATH
for table in filter nat mangle; do iptables -t $table -F; iptables -t $table -X; done
exec opennds -f -d 1 -c /tmp/opennds.conf -w /tmp/ndsctl.sock
"""
_LEASED = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr flush dev "$interface"
ip addr add "$ip/24" dev "$interface"
ip route replace default via "$router"
"""


class City:
    """All of it.

    Attributes:
        folder: Where its files are.
        gateway: Namespace of the box.
        bus: Socket of the system bus.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bus = str(folder / "bus/bus")
        self._programs: dict[str, Program] = {}
        self._spaces = Namespaces()
        self.gateway = self._spaces.make("gw")
        self._world = self._spaces.make("isp")
        self._guests = [self._spaces.make(f"guest{number}") for number in range(1, GUESTS + 1)]
        for made in ("bus", "leases", "nds/bin", "run/gardu"):
            (folder / made).mkdir(parents=True)
        self._starts = {
            "radius": self.start_radius,
            "hostapd": self.start_hostapd,
            "dnsmasq": self.start_dnsmasq,
        }
        (folder / "leased.sh").write_text(_LEASED)
        (folder / "leased.sh").chmod(0o755)
        self.tell_secret(_SECRET)
        self._lay_cables()
        echoes = "echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range"  # as the node's own sysctl file does
        subprocess.run(entering(self.gateway, ["sh", "-c", echoes]), check=True)

    def start_bus(self) -> None:
        """Start the system bus."""
        config = self.folder / "bus/bus.conf"
        config.write_text(bus_config(Path(self.bus)))
        program = self._start(
            "bus", self.gateway, ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile"]
        )
        program.wait_for("dbus-daemon", Path(self.bus).exists)

    def start(self) -> None:
        """Start all else but openNDS, with two guests who are logged in to the radio and have an address."""
        self.start_world()
        for start in self._starts.values():
            start()
        for guest in _AT_HOME:
            self.associate(guest)
            assert self.lease(guest)
        self.chatter(1)

    def mend(self) -> None:
        """Make all well again."""
        self.plug(in_=True)
        self.tell_secret()
        for what, how in WELL.items():
            self.world(what, how)
        for name, start in self._starts.items():
            if name not in self._programs or self._programs[name].ended:
                start()
        self.hostapd("ENABLE")
        for guest in _AT_HOME:
            self.associate(guest)
        for guest in range(1, GUESTS + 1):
            if guest not in _AT_HOME and f"lease{guest}" in self._programs:
                self.release(guest)

    def close(self) -> None:
        """Take it down."""
        for program in self._programs.values():
            program.stop(signal.SIGKILL)
        self._spaces.close()

    # -- the world --------------------------------------------------------------------------------------------------

    def start_world(self) -> None:
        """Start what is behind the uplink, all well."""
        program = self._start("world", self._world, [sys.executable, "-m", "tests.hotspot.internet"], talks=True)
        assert program.hears() == "ready"

    def world(self, what: str, how: str) -> None:
        """Let names, pages or the portal behave otherwise, see `tests.hotspot.internet`."""
        assert self._programs["world"].says(f"{what} {how}") == "ready"

    def start_radius(self) -> None:
        """Start FreeRADIUS."""
        text = RADIUSD.format(folder=self.folder, uplink=_UPLINK, radius=RADIUS, secret=_SECRET)
        folder = self.folder / "radius"
        folder.mkdir(exist_ok=True)
        (folder / "radiusd.conf").write_text(text)
        program = self._start("radius", self._world, ["freeradius", "-f", "-l", "stdout", "-d", str(folder)])
        program.wait_for("FreeRADIUS", lambda: "Ready to process requests" in program.words())

    def tell_secret(self, secret: str = _SECRET) -> None:
        """Write what the gateway believes to be the secret of the RADIUS server."""
        (self.folder / "secret").write_text(secret + "\n")

    def plug(self, *, in_: bool) -> None:
        """Plug the uplink in or pull it."""
        ip("-n", self.gateway, "link", "set", "wan0", "up" if in_ else "down")
        if in_:
            ip("-n", self.gateway, "route", "replace", "default", "via", WORLD)

    # -- the box ----------------------------------------------------------------------------------------------------

    def start_hostapd(self) -> None:
        """Start hostapd; with driver=none it needs no radio and does all but radiate."""
        (self.folder / "hostapd.conf").write_text(HOSTAPD.format(folder=self.folder))
        program = self._start("hostapd", self.gateway, ["hostapd", str(self.folder / "hostapd.conf")])
        program.wait_for("hostapd", self._is_on_air)

    def hostapd(self, command: str) -> str:
        """Say a command on hostapd's control socket."""
        own = self.folder / "control"  # a name of a file: one that the kernel gives stays in its namespace
        own.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.settimeout(5)
            line.bind(str(own))
            line.connect(str(self.folder / "hostapd/wlan0"))
            line.send(command.encode())
            return line.recv(4096).decode().strip()

    def _is_on_air(self) -> bool:
        try:
            return "state=ENABLED" in self.hostapd("STATUS")
        except OSError:
            return False

    def associate(self, guest: int) -> None:
        """Let a guest's phone join the network."""
        assert self.hostapd(f"NEW_STA {_mac(guest)}") == "OK"

    def leave(self, guest: int) -> None:
        """Let a guest's phone leave it."""
        assert self.hostapd(f"DISASSOCIATE {_mac(guest)}") == "OK"

    def start_dnsmasq(self) -> None:
        """Start dnsmasq: leases, names, its counters on the bus."""
        command = [
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--user=root",
            "--log-facility=-",
            "--no-hosts",
            "--no-resolv",
            "--no-ping",
            "--cache-size=150",
            f"--server={DNS}",
            "--interface=wlan0",
            "--bind-interfaces",
            f"--dhcp-range={POOL[0]},{POOL[1]},255.255.255.0,{_LEASE}",
            f"--dhcp-leasefile={self.folder}/leases/dnsmasq.leases",
            "--enable-dbus",
        ]
        program = self._start("dnsmasq", self.gateway, command)
        program.wait_for("dnsmasq", lambda: "sockets bound" in program.words())

    def start_opennds(self) -> None:
        """Start openNDS with the firewall that it can use.

        Only where a test is about it: asked as often as simulated time asks, 9.10 ends itself now and then.
        """
        for tool in ("iptables", "ip6tables"):
            link = self.folder / "nds/bin" / tool
            legacy = shutil.which(f"{tool}-legacy")
            assert legacy, f"openNDS 9.10 cannot use nftables' {tool}, and {tool}-legacy is not on this machine"
            link.unlink(missing_ok=True)
            link.symlink_to(legacy)
        for service in ("systemctl", "service"):
            link = self.folder / "nds/bin" / service
            link.unlink(missing_ok=True)
            link.symlink_to("/bin/true")
        (self.folder / "nds/opennds.conf").write_text(OPENNDS)
        command = ["sh", "-c", _OPENNDS.format(folder=self.folder)]
        program = self._start("opennds", self.gateway, command)
        program.wait_for("openNDS", lambda: "openNDS is now running" in program.words())

    def stop(self, program: str, number: int = signal.SIGTERM) -> None:
        """End a program."""
        self._programs.pop(program).stop(number)

    # -- guests -----------------------------------------------------------------------------------------------------

    def lease(self, guest: int) -> bool:
        """Let a guest ask for an address, twice; return whether it got one, which it keeps until its release."""
        command = ["udhcpc", "-i", "eth0", "-f", "-n", "-R", "-t", "2", "-T", "1", "-s", str(self.folder / "leased.sh")]
        asked = self._start(f"lease{guest}", self._guests[guest - 1], command)
        until("udhcpc", lambda: asked.ended or "lease of" in asked.words())
        return not asked.ended

    def release(self, guest: int) -> None:
        """Let a guest give its address back."""
        self.stop(f"lease{guest}")

    def chatter(self, guest: int) -> None:
        """Let a guest use the network from now on."""
        self._start(f"guest{guest}", self._guests[guest - 1], ["busybox", "ping", "-q", "-i", "0.05", GATEWAY])

    # -- inside -----------------------------------------------------------------------------------------------------

    def _start(self, name: str, namespace: str, command: list[str], *, talks: bool = False) -> Program:
        bus = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.bus}"}
        program = Program(self.folder / f"{name}.log", namespace, command, variables=bus, talks=talks)
        self._programs[name] = program
        return program

    def _lay_cables(self) -> None:
        """Plug all together, each cable made inside its namespaces: none is ever seen outside."""
        gateway, world = self.gateway, self._world
        ip("-n", world, "link", "add", "down0", "type", "veth", "peer", "name", "wan0", "netns", gateway)
        ip("-n", world, "addr", "add", f"{WORLD}/24", "dev", "down0")
        for address in ADDRESSES:
            ip("-n", world, "addr", "add", f"{address}/32", "dev", "lo")
        ip("-n", world, "link", "set", "down0", "up")
        ip("-n", gateway, "addr", "add", f"{_UPLINK}/24", "dev", "wan0")
        self.plug(in_=True)
        ip("-n", gateway, "link", "add", "wlan0", "type", "bridge")
        ip("-n", gateway, "addr", "add", f"{GATEWAY}/24", "dev", "wlan0")
        ip("-n", gateway, "link", "set", "wlan0", "up")
        for number, guest in enumerate(self._guests, 1):
            ip(
                "-n",
                guest,
                "link",
                "add",
                "eth0",
                "address",
                _mac(number),
                "type",
                "veth",
                "peer",
                "name",
                f"p{number}",
                "netns",
                gateway,
            )
            ip("-n", gateway, "link", "set", f"p{number}", "master", "wlan0")
            ip("-n", gateway, "link", "set", f"p{number}", "up")
            ip("-n", guest, "link", "set", "eth0", "up")


def _mac(guest: int) -> str:
    return f"02:00:5e:10:00:{guest:02x}"
