"""What quality hears of a sensor: the driver's word, and the technician's where there is one."""

from dataclasses import replace
from pathlib import Path

from agent.by_exception import ANY, Keep
from agent.config.load import Parsed, parse
from agent.config.model import Config
from agent.quality import SensorRules
from agent.settings import keeps, meter, probe_rules, rules
from drivers.io.catalog import registry

FILE = """\
node = "kiosk-01"
city = "bandung"

[center]
url = "mqtts://center.bandung.go.id:8883"

[sensor.air]
driver = "sds011"
port = "usb:1-1.2"
every = "5 min"

[sensor.air.channel.pm10]
range = ["1 ug/m3", "500 ug/m3"]
zero = "ok"
stuck_after = "2 h"
max_step_per_s = "50 ug/m3"

[sensor.river]
driver = "a02yyuw"
port = "usb:1-1.3"
mount_height = "4.20 m"

[sensor.well]
driver = "qdy30a"
port = "usb:1-1.4"
mount_height = "-1.20 m"
"""


def rules_of(sensor: str) -> SensorRules:
    parsed = parse([("agent.toml", FILE.encode())], registry())
    assert parsed.problems == ()
    (found,) = (rules(one) for one in parsed.fitted if one.sensor.name == sensor)
    return found


def test_what_the_driver_knows_of_its_unit_reaches_quality() -> None:
    air = rules_of("air")
    assert (air.warmup_s, air.confirm, air.integrity, air.lifetime_h) == (30.0, 2, "sum8", 8000.0)
    assert (air.channels["pm2_5"].high, air.channels["pm2_5"].zero) == (999.9, "suspect")
    assert rules_of("river").lifetime_h is None


def test_a_slow_pace_makes_silence_longer() -> None:
    assert rules_of("air").stale_after_s >= 3 * 300
    assert rules_of("river").stale_after_s == 10


def test_the_technician_overrules_the_driver_channel_by_channel() -> None:
    dust = rules_of("air").channels["pm10"]
    assert (dust.low, dust.high, dust.zero, dust.stuck_after_s, dust.max_step_per_s) == (1.0, 500.0, "ok", 7200.0, 50.0)
    assert rules_of("air").channels["pm2_5"].max_step_per_s is None


def test_the_level_of_a_mounted_sensor_is_judged_in_its_own_range() -> None:
    river, well = rules_of("river").channels["level"], rules_of("well").channels["level"]
    assert (river.low, river.high) == (-0.3, 4.17)
    assert (well.low, well.high) == (-1.7, 198.8)


PROBED = """\
node = "dago-01"
city = "bandung"

[center]
url = "mqtts://center.bandung.go.id:8883"
monthly_quota = "1 GB"
quota_counts = "wwan0"

[host]
sys = "SYS"

[hotspot]

[sensor.river]
driver = "a02yyuw"
port = "usb:1-1.3"
mount_height = "4.20 m"

[sensor.river.channel.level]
change = "2 cm"

[sensor.river.channel.distance]
at_least_every = "1 min"

[probe.host.channel.temp]
change = "2 Cel"
range = ["0 Cel", "90 Cel"]

[probe.wan.channel.conntrack-used]
at_least_every = "1 s"
"""


def probed(sys_root: Path = Path("/sys")) -> tuple[Config, Parsed]:
    parsed = parse([("agent.toml", PROBED.replace("SYS", str(sys_root)).encode())], registry())
    assert parsed.problems == ()
    assert parsed.config is not None
    return parsed.config, parsed


def test_sensors_keep_what_the_config_says_and_probes_what_their_channels_say() -> None:
    config, parsed = probed()
    found = keeps(config, parsed.fitted, parsed.equipped)
    assert {place: keep for place, keep in found.items() if place[0] == "river"} == {
        ("river", "level"): Keep(at_least_every_s=900, change=0.02),
        ("river", "distance"): Keep(at_least_every_s=60),
    }
    assert found["host", "temp"] == Keep(at_least_every_s=900, change=2)
    assert found["host", "uptime"] == Keep(at_least_every_s=3600)
    assert found["host", ANY] == Keep(at_least_every_s=3600)
    assert found["wan", "conntrack-used"].at_least_every_s == 1
    assert found["time", "sync"] == Keep(at_least_every_s=3600)
    assert found["link", "quota-used"] == Keep(at_least_every_s=900, change=0.01)
    probes = {(one.sensor, channel.name) for one in parsed.equipped for channel in one.info.channels}
    assert probes <= set(found)


def test_quality_hears_what_the_config_says_of_the_probes_and_nothing_of_those_it_says_nothing_about() -> None:
    config, parsed = probed()
    found = probe_rules(config, parsed.equipped)
    assert (found["host"].channels["temp"].low, found["host"].channels["temp"].high) == (0, 90)
    assert found["host"].stale_after_s >= 180
    assert "link" not in found
    assert {one.sensor for one in parsed.equipped} <= set(found)


def test_the_meter_counts_the_interface_that_the_config_names(tmp_path: Path) -> None:
    folder = tmp_path / "class/net/wwan0"
    (folder / "statistics").mkdir(parents=True)
    config, _ = probed(tmp_path)
    config = replace(config, spool=replace(config.spool, folder=str(tmp_path / "spool")))
    for carried, number, life, used in ((500, 3, b"a", 0), (900, 3, b"a", 400), (70, 4, b"a", 470), (70, 4, b"b", 540)):
        (folder / "ifindex").write_text(f"{number}\n")
        (folder / "statistics/rx_bytes").write_text(f"{carried}\n")
        (folder / "statistics/tx_bytes").write_text("0\n")
        made = meter(config, lambda: None, life)  # as a start of the agent
        assert made is not None
        made.look()
        made.save()
        assert made.used.used_bytes == used
