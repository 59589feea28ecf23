from collections.abc import Callable

import pytest

from agent.config.load import Parsed

Check = Callable[..., Parsed]

TOP = 'node = "n1"\ncity = "c1"\n[center]\n'


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("mqtts://center.bandung.go.id:8883", "center.bandung.go.id", 8883, True),
        ("mqtts://center", "center", 8883, True),
        ("MQTTS://10.0.0.1:443/", "10.0.0.1", 443, True),
        ("mqtts://[2001:db8::1]:8884", "2001:db8::1", 8884, True),
        ("mqtt://127.0.0.1:1884", "127.0.0.1", 1884, False),
        ("mqtt://localhost", "localhost", 1883, False),
        ("mqtt://[::1]:1", "::1", 1, False),
    ],
)
def test_an_address_is_split(check_alone: Check, url: str, host: str, port: int, tls: bool) -> None:  # noqa: FBT001
    config = check_alone(f'{TOP}url = "{url}"\n').config
    assert config is not None
    assert (config.center.host, config.center.tcp_port, config.center.tls) == (host, port, tls)


def test_plain_tcp_to_another_machine_needs_a_word(check_alone: Check) -> None:
    config = check_alone(f'{TOP}url = "mqtt://center:1883"\ninsecure = true\nprotocol = "3.1.1"\n').config
    assert config is not None
    assert (config.center.insecure, config.center.tls, config.center.protocol) == (True, False, "3.1.1")


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        ("mqtt://center:1883", None),
        ("mqtt://127.0.0.1.evil.org:1883", None),
        ("mqtt://1127.0.0.1", None),
        ("center.bandung.go.id:8883", 'write it like url = "mqtts://center.bandung.go.id:8883"'),
        ("", None),
        ("://x", 'write it like url = "mqtts://host:8883"'),
        ("mqqts://center", 'did you mean "mqtts://"?'),
        ("https://center", "write mqtts://host:8883"),
        ("mqtts://", "write it like mqtts://host:8883"),
        ("mqtts://:8883", "write it like mqtts://host:8883"),
        ("mqtts://center/topic", 'remove "/topic"'),
        ("mqtts://cen ter", None),
        ("mqtts://center:0", "write 8883, or any from 1 to 65535"),
        ("mqtts://center:70000", "write 8883, or any from 1 to 65535"),
        ("mqtts://center:", "write 8883, or any from 1 to 65535"),
        ("mqtts://center:88a", "write 8883, or any from 1 to 65535"),
    ],
)
def test_an_address_that_cannot_be_used_is_told(check_alone: Check, url: str, cure: str | None) -> None:
    parsed = check_alone(f'{TOP}url = "{url}"\n')
    (problem,) = parsed.problems
    assert (problem.line, problem.column) == (4, 7)
    assert cure in {None, problem.cure}
    assert parsed.config is None


def test_a_password_in_the_address_is_refused_and_not_repeated(check_alone: Check) -> None:
    (problem,) = check_alone(f'{TOP}url = "mqtts://joe:hunter2@center"\n').problems
    assert problem.what == "the address holds a name or password"
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ('[spool]\ntelemetry_cap = "1 MiB"', 2, 17, "telemetry_cap is smaller than 2 segments"),
        ('[spool]\nalarm_cap = "100 KiB"', 2, 13, "alarm_cap is smaller than 2 segments"),
        (
            '[spool]\nsegment = "512 KiB"\ntelemetry_cap = "1023 KiB"',
            3,
            17,
            "telemetry_cap is smaller than 2 segments",
        ),
        (
            '[seal]\nbytes = "100 KiB"\n[spool]\nsegment = "64 KiB"',
            2,
            9,
            "a batch would not fit into a segment of the spool",
        ),
    ],
)
def test_sizes_that_do_not_go_together_are_told(check: Check, text: str, line: int, column: int, what: str) -> None:
    parsed = check(text)
    (problem,) = parsed.problems
    assert (problem.line, problem.column, problem.what) == (line, column, what)
    assert parsed.config is None


def test_the_cure_of_a_small_cap_is_a_size_that_passes(check: Check) -> None:
    (problem,) = check('[spool]\nsegment = "100001 B"\nalarm_cap = "100 KiB"').problems
    assert problem.cure == 'write alarm_cap = "200002 B" or more, or a smaller segment'


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ('resend_after = "3 min"', 5, 16, "resend_at_most is below resend_after"),
        ('resend_after = "3 s"\nresend_at_most = "2 s"', 6, 18, "resend_at_most is below resend_after"),
        ('backoff_cap = "1 s"', 5, 15, "backoff_cap is below backoff_base"),
    ],
)
def test_times_that_stand_the_wrong_way_round_are_told(
    check_alone: Check, text: str, line: int, column: int, what: str
) -> None:
    (problem,) = check_alone(f'{TOP}url = "mqtts://center"\n{text}\n').problems
    assert (problem.line, problem.column, problem.what) == (line, column, what)


@pytest.mark.parametrize(
    ("text", "quota", "reserve"),
    [("", None, 0.1), ('monthly_quota = "500 MB"', 500_000_000, 0.1), ('quota_reserve = "25 %"', None, 0.25)],
)
def test_a_quota_stands_as_a_size_and_a_share(check_alone: Check, text: str, quota: int | None, reserve: float) -> None:
    config = check_alone(f'{TOP}url = "mqtts://center"\n{text}\n').config
    assert config is not None
    assert (config.center.quota_bytes, config.center.quota_reserve) == (quota, reserve)


def test_a_reserve_that_leaves_nothing_is_told(check_alone: Check) -> None:
    (problem,) = check_alone(f'{TOP}url = "mqtts://center"\nquota_reserve = "95 %"\n').problems
    assert (problem.what, problem.allowed) == ('"quota_reserve" is out of range', "a share from 0 % to 90 %")


@pytest.mark.parametrize("day", ["2027-01-31", '"2027-01-31"'])
def test_the_last_day_of_a_sim_may_stand_with_or_without_quotes(check_alone: Check, day: str) -> None:
    config = check_alone(f'{TOP}url = "mqtts://center"\nsim_expires = {day}\n').config
    assert config is not None
    assert config.center.sim_expires == "2027-01-31"


@pytest.mark.parametrize("day", ['"31.01.2027"', "2027-01-31T00:00:00Z", "20270131", '"soon"', '"2027-02-30"', "true"])
def test_what_is_no_day_is_told_with_one_that_is(check_alone: Check, day: str) -> None:
    (problem,) = check_alone(f'{TOP}url = "mqtts://center"\nsim_expires = {day}\n').problems
    assert (problem.line, problem.cure) == (5, 'write the last day of the SIM like sim_expires = "2027-01-31"')


def test_an_interface_may_be_what_the_quota_counts(check_alone: Check) -> None:
    parsed = check_alone(f'{TOP}url = "mqtts://center"\nmonthly_quota = "5 GB"\nquota_counts = "wwan0"\n')
    assert parsed.problems == ()
    assert parsed.config is not None
    assert parsed.config.center.quota_counts == "wwan0"


@pytest.mark.parametrize("name", ["../../etc", "a/b", "far-too-long-a-name", "."])
def test_what_cannot_be_an_interface_is_told(check_alone: Check, name: str) -> None:
    text = f'{TOP}url = "mqtts://center"\nmonthly_quota = "5 GB"\nquota_counts = "{name}"\n'
    (problem,) = check_alone(text).problems
    assert problem.what == "this is no network interface"


def test_counting_without_a_quota_is_told(check_alone: Check) -> None:
    (problem,) = check_alone(f'{TOP}url = "mqtts://center"\nquota_counts = "wwan0"\n').problems
    assert (problem.severity, problem.what) == ("warning", "nothing is counted: there is no quota")
