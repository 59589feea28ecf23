"""The way to the internet through real namespaces, links, routes, dnsmasq and FreeRADIUS, one fault at a time."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from drivers.hotspot.settings import HotspotSettings
from drivers.io.probes.uplink import UplinkCollector, default_route
from tests.drivers.hotspot.recorded import at, values
from tests.drivers.io.local_servers import run
from tests.hotspot.namespaces import Namespaces, entering, ip

pytestmark = pytest.mark.hotspot

GATEWAY, BEYOND = "192.0.2.1", "203.0.113.1"
GATEWAY_V6 = "fe80::1"
SECRET = "rahasia"  # noqa: S105 - of this test
RADIUS = """\
logdir = {folder}
raddbdir = {folder}
run_dir = {folder}
max_request_time = 30
security {{
  status_server = yes
}}
thread pool {{
  start_servers = 1
  max_servers = 1
  min_spare_servers = 1
  max_spare_servers = 1
}}
client node {{
  ipaddr = 192.0.2.2
  secret = {secret}
}}
modules {{
}}
server default {{
  listen {{
    type = auth
    ipaddr = {address}
    port = 1812
  }}
  authorize {{
  }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Way:
    """A box with a wired uplink and a spare one, and all that is behind them in one other namespace."""

    box: str
    world: str
    proc: Path
    folder: Path

    def probe(self, name: str, **options: str) -> tuple[dict[str, object], list[str]]:
        """Return the values and problems of one collection on the box."""
        given = [f"--option={key}={value}" for key, value in options.items()]
        command = [sys.executable, "-m", "agent", "probe", "run", name, "--json", *given]
        ran = subprocess.run(entering(self.box, command), capture_output=True, text=True, check=False)
        said = json.loads(ran.stdout)
        found = {each["n"]: each.get("v", each.get("vb", each.get("vs"))) for each in said["senml"]}
        return found, said["problems"]

    def world_runs(self, *command: str) -> "subprocess.Popen[bytes]":
        log = (self.folder / "world.log").open("ab")
        with log:
            return subprocess.Popen(entering(self.world, command), stdout=log, stderr=log)

    def world_drops(self, *rule: str, add: bool = True) -> None:
        subprocess.run(
            entering(self.world, ["iptables", "-A" if add else "-D", "INPUT", *rule, "-j", "DROP"]), check=True
        )


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    spaces = Namespaces()
    anchor = None
    try:
        box, world = spaces.make("waybox"), spaces.make("wayworld")
        for number, link in enumerate(("wan0", "wwan0")):
            peer = f"p{number}"
            ip("link", "add", link, "netns", box, "type", "veth", "peer", "name", peer, "netns", world)
            for space, name in ((box, link), (world, peer)):
                ip("-n", space, "link", "set", name, "up")
        for space, address, link in ((box, "192.0.2.2", "wan0"), (world, GATEWAY, "p0")):
            ip("-n", space, "addr", "add", f"{address}/24", "dev", link)
        for space, address, link in ((box, "198.51.100.2", "wwan0"), (world, "198.51.100.1", "p1")):
            ip("-n", space, "addr", "add", f"{address}/24", "dev", link)
        ip("-n", world, "addr", "add", f"{GATEWAY_V6}/64", "dev", "p0", "nodad")
        for address in (BEYOND, "203.0.113.2"):
            ip("-n", world, "addr", "add", f"{address}/32", "dev", "lo")
        allow_echoes(box, "0 2147483647")
        anchor = subprocess.Popen(entering(box, ["sleep", "600"]))
        folder = tmp_path_factory.mktemp("way")
        made = Way(box=box, world=world, proc=Path(f"/proc/{anchor.pid}"), folder=folder)
        default(made, "add", GATEWAY, "wan0", 100)
        default(made, "add", "198.51.100.1", "wwan0", 700)
        yield made
    finally:
        if anchor is not None:
            anchor.kill()
            anchor.wait()
        spaces.close()


def allow_echoes(box: str, groups: str) -> None:
    subprocess.run(entering(box, ["sysctl", "-qw", f"net.ipv4.ping_group_range={groups}"]), check=True)


def default(way: Way, what: str, gateway: str, link: str, metric: int) -> None:
    ip("-n", way.box, "route", what, "default", "via", gateway, "dev", link, "metric", str(metric))


def settle(ready: object, within_s: float = 10.0) -> None:
    assert callable(ready)
    until = time.monotonic() + within_s
    while not ready():
        assert time.monotonic() < until, "what the test started never came up"
        time.sleep(0.1)


def test_echoes_come_back_from_the_gateway_and_from_beyond_it(way: Way) -> None:
    found, _ = way.probe("wan", ping=BEYOND, checks="")
    assert found["wan/gw-loss"] == found["wan/net-loss"] == 0
    assert 0 < float(str(found["wan/gw-rtt"])) < 20
    assert 0 < float(str(found["wan/net-rtt"])) < 20
    assert float(str(found["wan/net-jitter"])) < 20


def test_the_next_address_is_asked_where_the_first_is_silent(way: Way) -> None:
    way.world_drops("-p", "icmp", "-d", BEYOND)
    try:
        assert way.probe("wan", ping=BEYOND, checks="")[0]["wan/net-loss"] == 1
        assert "wan/net-rtt" not in way.probe("wan", ping=BEYOND, checks="")[0]
        assert way.probe("wan", ping=f"{BEYOND},203.0.113.2", checks="")[0]["wan/net-loss"] == 0
    finally:
        way.world_drops("-p", "icmp", "-d", BEYOND, add=False)


def test_a_share_of_lost_echoes_is_told_as_that_share(way: Way) -> None:
    every_other = ("-p", "icmp", "-d", GATEWAY, "-m", "statistic", "--mode", "nth", "--every", "5", "--packet", "2")
    way.world_drops(*every_other)
    try:
        assert way.probe("wan", ping=BEYOND, checks="")[0]["wan/gw-loss"] == 0.2
    finally:
        way.world_drops(*every_other, add=False)


def test_a_kernel_that_allows_no_echoes_is_told_with_the_cure(way: Way) -> None:
    allow_echoes(way.box, "1 0")
    try:
        found, problems = way.probe("wan", ping=BEYOND, checks="")
    finally:
        allow_echoes(way.box, "0 2147483647")
    assert not any(name.startswith(("wan/gw", "wan/net")) for name in found)
    assert any("net.ipv4.ping_group_range" in problem for problem in problems)


def test_a_link_local_gateway_of_ipv6_is_asked_on_its_own_link(way: Way) -> None:
    for route in (("192.0.2.1", "wan0", 100), ("198.51.100.1", "wwan0", 700)):
        default(way, "del", *route)
    ip("-n", way.box, "-6", "route", "add", "default", "via", GATEWAY_V6, "dev", "wan0")
    try:
        settle(lambda: way.probe("wan", ping="", checks="")[0].get("wan/gw-loss") == 0)
        assert way.probe("uplink")[0]["wan/uplink"] == "wan0"
    finally:
        ip("-n", way.box, "-6", "route", "del", "default")
        default(way, "add", GATEWAY, "wan0", 100)
        default(way, "add", "198.51.100.1", "wwan0", 700)


def test_the_spare_uplink_taking_over_and_giving_back_is_seen(way: Way) -> None:
    collector = UplinkCollector(HotspotSettings(proc=str(way.proc), backup=("wwan0",)))

    def now() -> dict[str, int | float | bool | str]:
        return values(run(lambda: collector.collect(at(0))))

    settle(lambda: now().get("uplink") == "wan0")
    assert now()["on-backup"] is False
    ip("-n", way.box, "link", "set", "wan0", "down")
    try:
        spare = now()
        assert (spare["uplink"], spare["on-backup"], spare["uplink-changes"]) == ("wwan0", True, 1)
        route = default_route(way.proc)
        assert route is not None
        assert route.gateway == "198.51.100.1"
        ip("-n", way.box, "link", "set", "wwan0", "down")
        assert now()["uplink"] == "none"
        assert way.probe("wan", ping=BEYOND, checks="http://203.0.113.1/")[0]["wan/state"] == "down"
    finally:
        ip("-n", way.box, "link", "set", "wwan0", "up")
        ip("-n", way.box, "link", "set", "wan0", "up")
        default(way, "add", GATEWAY, "wan0", 100)
        default(way, "add", "198.51.100.1", "wwan0", 700)
    back = now()
    assert (back["uplink"], back["on-backup"], back["uplink-changes"]) == ("wan0", False, 3)
    assert int(back["rx-bytes"]) > 0


def test_a_real_dnsmasq_is_alive_then_cut_off_then_dead(way: Way) -> None:
    program = shutil.which("dnsmasq")
    assert program, "dnsmasq is needed: apt-get install dnsmasq-base"
    server = way.world_runs(
        program, "-k", "--no-resolv", "--no-hosts", f"--listen-address={BEYOND}", "--bind-interfaces",
        "--address=/pasar.example/203.0.113.7", "--local=/invalid/", "--conf-file=/dev/null", "--pid-file=",
        "--user=root",
    )  # fmt: skip
    ask = {"resolver": BEYOND, "upstream": BEYOND, "dns_name": "pasar.example"}
    try:
        settle(lambda: way.probe("dns", **ask)[0].get("dns/fail") == 0)
        found, problems = way.probe("dns", **ask)
        assert problems == []
        assert found["dns/hijacked"] is False
        assert 0 < float(str(found["dns/local-ms"])) < 100
        way.world_drops("-p", "udp", "--dport", "53")
        try:
            found, problems = way.probe("dns", **ask)
            assert (found["dns/fail"], found["dns/up-fail"]) == (1.0, 1.0)
            assert problems == ["dns-local: no answer in time", "dns-up: no answer in time"]
        finally:
            way.world_drops("-p", "udp", "--dport", "53", add=False)
        assert way.probe("dns", **ask | {"dns_name": "lain.example"})[1][0] == "dns-local: it answers refused"
    finally:
        server.kill()
        server.wait()
    settle(lambda: way.probe("dns", **ask)[1][0] == "dns-local: nobody listens")


def test_a_real_freeradius_answers_the_right_secret_only(way: Way) -> None:
    program = shutil.which("freeradius")
    assert program, "FreeRADIUS is needed: apt-get install freeradius"
    folder = way.folder
    (folder / "radiusd.conf").write_text(RADIUS.format(folder=folder, secret=SECRET, address=BEYOND), "ascii")
    for name, secret in (("right", SECRET), ("wrong", "salah")):
        (folder / name).write_text(f"{secret}\n", "ascii")
    server = way.world_runs(program, "-f", "-l", "stdout", "-d", str(folder), "-n", "radiusd")

    def ask(name: str) -> tuple[object, list[str]]:
        found, problems = way.probe("radius", radius=BEYOND, radius_secret=str(folder / name))
        return found["svc/radius-up"], problems

    try:
        settle(lambda: ask("right")[0])
        up, problems = ask("wrong")
        assert (up, problems) == (False, ["no answer: it is down, or the secret is wrong"])
        assert ask("right") == (True, [])
    finally:
        server.kill()
        server.wait()
    settle(lambda: ask("right") == (False, ["nobody listens"]))
