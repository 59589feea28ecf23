"""The alarms that come with the probes: each fault raises its own and no other, and all well raises none."""

from collections.abc import Mapping
from fnmatch import fnmatch

import pytest

from agent.config.catalogue_hotspot import DEFAULTS
from agent.config.model import Alarm
from tests.agent.alarm_rig import Value
from tests.agent.every_probe import Node, config

ALARMS: Mapping[str, Alarm] = {alarm.name: alarm for alarm in config().defaults}
_HOUR = 3600


def break_it(node: Node, alarm: Alarm) -> None:
    """Let the channel say what the alarm is about."""
    path = f"{alarm.sensor}/{alarm.channel}"
    worst = alarm.levels[-1].threshold
    if alarm.states:
        node.says(path, alarm.states[0])
    elif alarm.rise_within_s is not None:
        node.rises(path, worst + 1)
    else:
        node.says(path, worst - 0.001 if alarm.falling else worst + 0.001)


def test_every_default_alarm_binds_on_a_node_with_every_probe() -> None:
    unbound = [rule.name for rule in DEFAULTS if not any(fnmatch(name, rule.name) for name in ALARMS)]
    assert unbound == []


def test_names_are_unique_and_every_cause_that_is_named_exists() -> None:
    names = [(rule.name, rule.section) for rule in DEFAULTS]
    assert len(names) == len(set(names))
    causes = {cause for rule in DEFAULTS for cause in rule.mute_when}
    known = {rule.name for rule in DEFAULTS} | {"mains-lost"}
    assert causes <= known


def test_with_all_well_ten_hours_of_noise_raise_nothing() -> None:
    for seed in (1, 2):
        node = Node(seed)
        assert node.passes(10 * _HOUR) == []
        states = node.alarms.states()
        awake = {name: state.state for name, state in states.items() if ALARMS[name].channel != "mmc-life"}
        assert set(awake.values()) <= {"clear", "unknown"}
        assert sum(state == "clear" for state in awake.values()) > len(awake) - 5


def mend_it(node: Node, alarm: Alarm) -> None:
    """Let the channel say again what it says when all is well."""
    path = f"{alarm.sensor}/{alarm.channel}"
    node.says(path, None)
    if alarm.rise_within_s is not None:
        node.rises(path, -alarm.levels[-1].threshold - 1)


@pytest.mark.parametrize("name", sorted(set(ALARMS) - {"disk-errors"}))
def test_a_fault_raises_its_own_alarm_and_no_other_and_clears_once(name: str) -> None:
    node = Node()
    alarm = ALARMS[name]
    pace_s = node.every_s[f"{alarm.sensor}/{alarm.channel}"]
    step_s = 60 if pace_s + (alarm.rise_within_s or 0) > _HOUR else 10
    node.passes(_HOUR, step_s)
    lasts_s = int(alarm.for_s + 1.1 * pace_s) + 600
    goes_on = alarm.rise_within_s is not None and alarm.for_s >= alarm.rise_within_s  # one rise alone is none of it
    changes = []
    for _ in range(lasts_s // 300 if goes_on else 1):
        break_it(node, alarm)
        changes += node.passes(300 if goes_on else lasts_s, step_s)
    mend_it(node, alarm)
    changes += node.passes(int(alarm.for_s + 1.1 * pace_s + (alarm.rise_within_s or 0)) + 900, step_s)
    assert [(change.alarm, change.state) for change in changes] == [(name, alarm.levels[-1].name), (name, "clear")]


def test_errors_of_long_ago_are_a_warning_and_not_the_alarm_of_new_ones() -> None:
    node = Node()
    node.rises("storage/ext4-errors", 3)
    assert [(change.alarm, change.state) for change in node.passes(_HOUR)] == [("disk-errors", "warning")]


LAYERS = [
    ("ap-down", {"ap/up": False, "clients/auth": 0, "clients/pending": 9, "svc/unit-hostapd": "failed"}),
    ("dns-dead", {"dns/fail": 1.0, "svc/unit-dnsmasq": "failed", "portal/page-up": False, "portal/api-ok": False}),
    (
        "wan-down",
        {
            "wan/state": "down",
            "wan/gw-loss": 1.0,
            "wan/net-loss": 1.0,
            "dns/fail": 1.0,
            "dns/up-fail": 1.0,
            "svc/radius-up": False,
            "svc/radius-silent": True,
            "portal/login-stuck": True,
            "portal/api-ok": False,
            "time/sync": False,
        },
    ),
    ("wan-captive", {"wan/state": "captive", "dns/up-fail": 0.6, "portal/api-ok": False, "dns/hijacked": True}),
    ("portal-down", {"portal/up": False, "portal/page-up": False, "portal/api-ok": False, "portal/login-stuck": True}),
    ("radius-down", {"svc/radius-up": False, "svc/radius-silent": True, "clients/pending": 12}),
    ("undervoltage", {"power/undervolt-now": True, "power/throttled-now": True}),
    ("screen-unplugged", {"kiosk/screen-connected": False, "kiosk/screen-lit": False}),
    ("gateway-lossy", {"wan/gw-loss": 0.5, "wan/gw-rtt": 400, "wan/net-rtt": 600, "wan/net-loss": 0.5}),
]


@pytest.mark.parametrize(("name", "says"), LAYERS, ids=[name for name, _ in LAYERS])
def test_the_fault_of_a_layer_is_told_by_its_name_and_hides_what_follows_from_it(
    name: str, says: Mapping[str, Value]
) -> None:
    node = Node()
    node.passes(_HOUR)
    for path, value in says.items():
        node.says(path, value)
    changes = node.passes(3 * _HOUR)
    states = node.alarms.states()
    hidden = [each for each, state in states.items() if state.hidden_by]
    assert len(hidden) >= 1
    for path in says:
        node.says(path, None)
    changes += node.passes(2 * _HOUR)
    level = ALARMS[name].levels[0].name
    assert [(change.alarm, change.state) for change in changes] == [(name, level), (name, "clear")]


def test_fault_after_fault_tells_the_one_above_and_then_what_was_true_all_along() -> None:
    node = Node()
    node.passes(_HOUR)
    node.says("dns/up-fail", 1.0)
    changes = node.passes(600)
    node.says("wan/state", "down")
    changes += node.passes(1200)
    node.says("wan/state", None)
    changes += node.passes(1200)
    node.says("dns/up-fail", None)
    changes += node.passes(1200)
    assert [(change.alarm, change.state) for change in changes] == [
        ("dns-upstream-dead", "alarm"),
        ("wan-down", "alarm"),
        ("wan-down", "clear"),
        ("dns-upstream-dead", "clear"),
    ]
