"""Drivers of third parties: none is even looked at before the files on the box allow it."""

from tests.agent.config.conftest import Check

SECTION = '[sensor.air]\ndriver = "foreign"\nport = "usb:1-1"\n'


def test_a_driver_that_is_not_allowed_is_refused_with_what_would_allow_it(check: Check) -> None:
    (problem,) = check('[drivers]\nallow = ["mine"]\n' + SECTION).problems
    assert problem.what == "this driver is code of package dust-works 1.0, which may not run here"
    assert (problem.line, problem.given) == (4, '"foreign"')
    assert problem.cure.endswith('[drivers] allow = ["mine", "foreign"]')


def test_without_an_allow_list_none_is_allowed_and_the_sensor_alone_is_lost(check: Check) -> None:
    parsed = check(SECTION)
    assert "may not run here" in parsed.problems[0].what
    assert parsed.config is not None
    assert parsed.config.sensors == ()
    assert parsed.config.allowed_drivers == ()


def test_one_that_is_allowed_and_cannot_be_used_says_why_with_its_cure(check: Check) -> None:
    parsed = check('[drivers]\nallow = ["foreign"]\n' + SECTION)
    (problem,) = parsed.problems
    assert problem.what == "others than root may write /d/foreign (mode 777)"
    assert problem.cure == "chmod -R go-w /d/foreign"
    assert parsed.config is not None
    assert parsed.config.allowed_drivers == ("foreign",)


def test_who_may_run_here_stands_in_the_configuration_that_the_record_carries(check: Check) -> None:
    allowed, none = check('[drivers]\nallow = ["foreign"]\n').config, check("").config
    assert allowed is not None
    assert none is not None
    assert allowed.hash != none.hash
    assert '"allowed_drivers":["foreign"]' in allowed.redacted


def test_an_allow_list_that_is_none_is_a_problem(check: Check) -> None:
    assert "drivers" in str(
        check('[drivers]\nallow = "foreign"\n').problems[0].given + str(check("drivers = 3").problems)
    )
