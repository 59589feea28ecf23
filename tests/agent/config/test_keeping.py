"""What the configuration says of readings worth keeping: of sensors, and of the box's own probes."""

from collections.abc import Callable

import pytest

from agent.config.load import Parsed
from agent.config.model import ChannelOverride

Check = Callable[..., Parsed]

RIVER = '[sensor.river]\ndriver = "sonar"\nport = "usb:1-1"\nmount_height = "4 m"\n'


def overrides(parsed: Parsed) -> dict[str, dict[str, ChannelOverride]]:
    assert parsed.problems == ()
    assert parsed.config is not None
    said = {sensor.name: dict(sensor.channels) for sensor in parsed.config.sensors if sensor.channels}
    return said | {name: dict(channels) for name, channels in parsed.config.probes.items()}


def test_a_sensor_says_what_change_is_worth_a_row(check: Check) -> None:
    text = RIVER + '[sensor.river.channel.level]\nchange = "2 cm"\nat_least_every = "5 min"\n'
    assert overrides(check(text)) == {"river": {"level": ChannelOverride(change=0.02, at_least_every_s=300.0)}}


def test_the_probes_of_the_box_are_told_the_same_way(check_alone: Check) -> None:
    text = (
        '[probe.host.channel.temp]\nchange = "2 K"\nrange = ["0 Cel", "90 Cel"]\n'
        '[probe.time.channel.sync]\nat_least_every = "10 min"\n'
        '[probe.link.channel.quota-used]\nchange = "5 %"\n'
    )
    quota = 'node = "n1"\ncity = "c1"\n[center]\nurl = "mqtts://center:8883"\nmonthly_quota = "1 GB"\n'
    found = overrides(check_alone(quota + text))
    assert found == {
        "host": {"temp": ChannelOverride(change=2.0, low=0.0, high=90.0)},
        "time": {"sync": ChannelOverride(at_least_every_s=600.0)},
        "link": {"quota-used": ChannelOverride(change=0.05)},
    }


def test_a_change_of_nothing_is_allowed(check: Check) -> None:
    text = RIVER + '[sensor.river.channel.level]\nchange = "0 m"\n'
    assert overrides(check(text))["river"]["level"].change == 0


@pytest.mark.parametrize(
    ("text", "what", "cure"),
    [
        (RIVER + '[sensor.river.channel.level]\nchange = "-1 m"', "a change is 0 or more", "write it without minus"),
        (RIVER + '[sensor.river.channel.level]\nchange = "1 V"', '"change": "V" is not a unit of length', ""),
        (RIVER + '[sensor.river.channel.state]\nchange = "1"', '"state" is a state', "remove this line"),
        (RIVER + '[sensor.river.channel.note]\nchange = "1"', '"note" is a state', "remove this line"),
        (RIVER + '[sensor.river.channel.level]\nat_least_every = "0 s"', '"at_least_every" is out of range', ""),
        ("[probe.tyme.channel.sync]", 'no probe of this box gives "tyme"', 'did you mean "time"?'),
        ("[probe.zzzzzz.channel.up]", 'no probe of this box gives "zzzzzz"', "`gardu probe list` shows what they give"),
        ("[probe.time.channel.sink]", 'this sensor has no channel "sink"', 'did you mean "sync"?'),
        ('[probe.time]\nevery = "1 s"', 'unknown key "every"', ""),
        ("[probe.link.channel.quota-used]", 'no probe of this box gives "link"', ""),
    ],
)
def test_a_mistake_costs_its_own_line_only(check: Check, text: str, what: str, cure: str) -> None:
    parsed = check(text)
    (problem,) = parsed.problems
    assert problem.what == what
    assert cure in (problem.cure or "")
    assert parsed.config is not None


def test_a_sensor_cannot_take_the_name_of_the_link(check_alone: Check) -> None:
    top = 'node = "n1"\ncity = "c1"\n[center]\nurl = "mqtts://center"\nsim_expires = 2027-01-31\n'
    (problem,) = check_alone(top + '[sensor.link]\ndriver = "dust"\nport = "usb:1-1"\n').problems
    assert problem.what == '"link" is the name of probes of this box'


def test_an_alarm_may_watch_the_link(check_alone: Check) -> None:
    top = 'node = "n1"\ncity = "c1"\n[center]\nurl = "mqtts://center"\nsim_expires = 2027-01-31\n'
    parsed = check_alone(top + '[alarm.sim]\nwatch = "link/sim-days"\nfalling = true\nlevels = { warning = "14 d" }\n')
    assert parsed.problems == ()
    assert parsed.config is not None
    assert "sim" in [alarm.name for alarm in parsed.config.alarms]
