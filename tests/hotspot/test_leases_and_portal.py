"""Real dnsmasq, udhcpc and openNDS: leases, an empty pool, names, a portal, as `gardu probe run` sees them."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hotspot.namespaces import entering, ip
from tests.hotspot.programs import Program, until
from tests.node.system_bus import bus

pytestmark = pytest.mark.hotspot

GATEWAY, POOL = "10.20.0.1", "10.20.0.2-10.20.0.4"
MACS = [f"02:00:5e:00:53:{number:02x}" for number in range(1, 6)]
LEASE_S = 600
GUEST_SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr flush dev $interface
ip addr add $ip/24 dev $interface
ip route replace default via $router
"""
OPENNDS = "GatewayInterface vgw\nGatewayName Gardu\nlogin_option_enabled 1\n"
# Its scripts write into /etc and /run, which are not theirs here.
START = """mount --bind /etc /etc && mount -o remount,bind,ro /etc && mount -t tmpfs none /run
mount --bind "$1/leases" /var/lib/misc
PATH="$1/bin:$PATH" exec opennds -f -d 1 -c "$1/nds.conf" -w "$1/nds.sock"
"""


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """A box and a guest, each in a namespace, joined by a wire."""

    box: str
    guest: str
    folder: Path
    bus: str

    def probe(self, name: str, **options: str) -> dict[str, object]:
        """Return the values of one collection on the box."""
        given = [f"--option={key}={value}" for key, value in options.items()]
        command = [sys.executable, "-m", "agent", "probe", "run", name, "--json", *given]
        ran = subprocess.run(entering(self.box, command), capture_output=True, text=True, check=False)
        said = json.loads(ran.stdout)
        assert not any(mac in ran.stdout + ran.stderr for mac in MACS)
        return {each["n"]: each.get("v", each.get("vb", each.get("vs"))) for each in said["senml"]}

    def comes(self, mac: str) -> bool:
        """Let a guest ask for an address; return whether it was given one."""
        ip("-n", self.guest, "link", "set", "vcl", "down", "address", mac)
        ip("-n", self.guest, "link", "set", "vcl", "up")
        command = ["udhcpc", "-i", "vcl", "-n", "-q", "-f", "-t", "3", "-T", "1", "-s", str(self.folder / "guest.sh")]
        return subprocess.run(entering(self.guest, command), capture_output=True, check=False).returncode == 0

    def dnsmasq(self) -> Program:
        log = self.folder / "dnsmasq.log"
        log.unlink(missing_ok=True)
        command = [
            *(
                "dnsmasq",
                "--keep-in-foreground",
                "--log-facility=-",
                "--conf-file=/dev/null",
                "--pid-file=",
                "--user=root",
            ),
            *("--interface=vgw", "--bind-interfaces", "--no-resolv", "--no-ping", "--address=/here.test/192.0.2.7"),
            f"--dhcp-range=10.20.0.2,10.20.0.4,255.255.255.0,{LEASE_S}",
            *(f"--dhcp-leasefile={self.folder}/leases/dnsmasq.leases", "--enable-dbus"),
        ]
        program = Program(log, self.box, command, variables={"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.bus}"})
        program.wait_for("dnsmasq", lambda: "sockets bound" in program.words())
        return program

    def opennds(self) -> Program:
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", START, "sh"]
        program = Program(self.folder / "nds.log", self.box, [*command, str(self.folder)])
        program.wait_for("openNDS", lambda: (self.folder / "nds.sock").exists() and bool(self.orders("status")))
        return program

    def orders(self, text: str) -> bytes:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
            line.settimeout(5)
            line.connect(str(self.folder / "nds.sock"))
            line.sendall(f"{text}\r\n\r\n".encode())
            return b"".join(iter(lambda: line.recv(65536), b""))
        return b""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    for folder in ("leases", "bin"):
        (tmp_path / folder).mkdir()
    (tmp_path / "bin/iptables").symlink_to("/usr/sbin/iptables-legacy")
    (tmp_path / "nds.conf").write_text(OPENNDS)
    (tmp_path / "guest.sh").write_text(GUEST_SCRIPT)
    (tmp_path / "guest.sh").chmod(0o755)
    box, guest = (f"lease{os.getpid()}{part}" for part in ("box", "guest"))
    with contextlib.ExitStack() as stack:
        for name in (box, guest):
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("link", "add", "vgw", "netns", box, "type", "veth", "peer", "name", "vcl", "netns", guest)
        ip("-n", box, "addr", "add", f"{GATEWAY}/24", "dev", "vgw")
        ip("-n", box, "link", "set", "vgw", "up")
        ip("-n", box, "link", "add", "gwan", "type", "veth", "peer", "name", "isp")
        for link in ("gwan", "isp"):
            ip("-n", box, "link", "set", link, "up")
        ip("-n", box, "addr", "add", "198.51.100.2/24", "dev", "gwan")
        ip("-n", box, "route", "add", "default", "via", "198.51.100.1")
        forward = ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]
        subprocess.run(entering(box, forward), check=True)
        yield Gateway(box=box, guest=guest, folder=tmp_path, bus=stack.enter_context(bus(tmp_path)))


def test_leases_fill_the_pool_and_whom_it_sends_away_is_counted(gateway: Gateway) -> None:
    options = {"leases": f"{gateway.folder}/leases/dnsmasq.leases", "pool": POOL}
    program = gateway.dnsmasq()
    try:
        assert gateway.probe("dnsmasq", **options) == {"dhcp/leases": 0, "dhcp/pool-used": 0.0}
        assert gateway.comes(MACS[0])
        assert gateway.probe("dnsmasq", **options) == {"dhcp/leases": 1, "dhcp/pool-used": 0.3333}
        assert [gateway.comes(mac) for mac in MACS[1:3]] == [True, True]
        metrics = {"bus": gateway.bus, "every_metric": "yes"}
        counted = gateway.probe("dnsmasq-bus", **metrics)
        assert (counted["dhcp/refused"], counted["dhcp/acks"]) == (0, 3)
        assert not gateway.comes(MACS[3])
        assert gateway.probe("dnsmasq", **options) == {"dhcp/leases": 3, "dhcp/pool-used": 1.0}
        counted = gateway.probe("dnsmasq-bus", **metrics)
        assert isinstance(counted["dhcp/refused"], int)
        assert counted["dhcp/refused"] >= 1
        command = [sys.executable, "-m", "agent", "probe", "run", "dnsmasq", "--json", "--file"]
        said = subprocess.run([*command, str(program.log)], capture_output=True, text=True, check=True).stdout
        assert json.loads(said)["facts"]["dnsmasq-log"]["no_address_available"] == counted["dhcp/refused"]
    finally:
        program.stop()


def test_hits_are_those_of_guests(gateway: Gateway) -> None:
    program = gateway.dnsmasq()
    try:
        ip("-n", gateway.guest, "addr", "add", "10.20.0.9/24", "dev", "vcl")
        ip("-n", gateway.guest, "link", "set", "vcl", "up")
        look_up = entering(gateway.guest, ["busybox", "nslookup", "-type=a", "here.test", GATEWAY])
        for _ in range(4):
            subprocess.run(look_up, check=True, capture_output=True)
        round_trips = "\n".join(
            (
                "import asyncio",
                "from drivers.hotspot.settings import HotspotSettings",
                "from drivers.io.probes.dnsmasq_cache import DnsmasqCacheCollector",
                "from drivers.probe import Moment",
                f"made = DnsmasqCacheCollector(HotspotSettings(resolver={GATEWAY!r}, every_metric=True))",
                "for _ in range(3): print([e.value for e in asyncio.run(made.collect(Moment(boot_ns=1)))])",
            )
        )
        command = entering(gateway.box, [sys.executable, "-c", round_trips])
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.stdout == "[4, 0]\n" * 3, ran.stderr
    finally:
        program.stop()


def test_a_guest_before_the_portal_comes_through_it_until_the_portal_dies(gateway: Gateway) -> None:
    lease_giver = gateway.dnsmasq()
    portal = None
    try:
        assert gateway.comes(MACS[0])
        portal = gateway.opennds()
        asked = {"portal": "opennds", "opennds": f"{gateway.folder}/nds.sock"}
        nobody = {"portal/up": True, "portal/clients-auth": 0, "portal/clients-pre": 0, "portal/auths": 0}
        assert gateway.probe("opennds", **asked) == {**nobody, "portal/login-stuck": False}
        assert gateway.probe("portal-page", portal_url=f"http://{GATEWAY}:2050/mhdstatus") == {"portal/page-up": True}
        assert gateway.probe("portal-page", portal_url=f"http://{GATEWAY}:2050/") == {"portal/page-up": False}

        fetch = entering(gateway.guest, ["curl", "-s", "-m", "5", "http://198.51.100.1/"])

        def waits() -> bool:
            subprocess.run(fetch, capture_output=True, check=False, timeout=30)
            return gateway.probe("opennds", **asked).get("portal/clients-pre") == 1

        until("the guest is before the portal", waits, within_s=30)
        address = (gateway.folder / "leases/dnsmasq.leases").read_text().split()[2]
        gateway.orders(f"auth {address}")
        through = {"portal/up": True, "portal/clients-auth": 1, "portal/clients-pre": 0, "portal/auths": 1}
        assert gateway.probe("opennds", **asked) == {**through, "portal/login-stuck": False}

        portal.stop()
        assert (gateway.folder / "nds.sock").exists()
        assert gateway.probe("opennds", **asked) == {"portal/up": False}
        assert gateway.probe("portal-page", portal_url=f"http://{GATEWAY}:2050/mhdstatus") == {"portal/page-up": False}
    finally:
        for program in (portal, lease_giver):
            if program is not None:
                program.stop()
