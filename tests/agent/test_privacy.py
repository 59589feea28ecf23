"""With privacy strict no count of fewer than five guests is told, nor what it can be worked out from."""

import pytest

from agent.privacy import Veil
from drivers.hotspot.settings import HotspotSettings
from drivers.reading import Reading

STRICT = Veil(HotspotSettings(privacy="strict", pool="10.20.0.2-10.20.0.101"))


def said(place: str, value: float | str, *, unit: str = "count", veil: Veil = STRICT) -> float | str:
    sensor, _, channel = place.partition("/")
    return veil.show(Reading(sensor=sensor, channel=channel, value=value, unit=unit, boot_ns=1)).value


@pytest.mark.parametrize(
    "place",
    ["clients/auth", "clients/assoc", "clients/weak", "dhcp/leases", "portal/clients-auth", "portal/clients-pre"],
)
def test_counts_below_five_leave_as_a_bucket_and_nobody_too(place: str) -> None:
    assert [said(place, value) for value in (0, 1, 4, 5, 6, 40)] == ["<5", "<5", "<5", 5, 6, 40]


@pytest.mark.parametrize(
    "place", ["clients/joins", "clients/leaves", "portal/auths", "dhcp/acks", "svc/radius-accepts"]
)
def test_totals_are_told_in_steps_of_five_for_their_difference_is_a_count(place: str) -> None:
    assert [said(place, value) for value in (0, 4, 5, 9, 10, 1234)] == ["<5", "<5", 5, 5, 10, 1230]


def test_the_used_share_of_the_pool_tells_no_small_count_either() -> None:
    assert [said("dhcp/pool-used", value, unit="/") for value in (0.0, 0.04, 0.05, 0.9)] == [
        "<0.05",
        "<0.05",
        0.05,
        0.9,
    ]


@pytest.mark.parametrize("pool", ["", "all of it"])
def test_a_pool_that_is_not_known_hides_its_share(pool: str) -> None:
    veil = Veil(HotspotSettings(privacy="strict", pool=pool))
    assert said("dhcp/pool-used", 0.5, unit="/", veil=veil) == "<1"


@pytest.mark.parametrize(
    ("place", "value", "unit"),
    [
        ("clients/signal-p50", -60, "dBm"),
        ("clients/retry", 0.1, "/"),
        ("clients/auth", "<5", "count"),
        ("portal/up", False, "1"),
        ("portal/page-ms", 3, "ms"),
        ("wan/rx-bytes", 3, "B"),
        ("air/clients", 3, "count"),
        ("dhcp/refused", 3, "count"),
    ],
)
def test_what_counts_no_guests_is_told_as_it_is(place: str, value: float | str, unit: str) -> None:
    assert said(place, value, unit=unit) is value


@pytest.mark.parametrize("veil", [Veil(None), Veil(HotspotSettings())], ids=["no hotspot", "counts"])
def test_where_nobody_asks_for_it_every_count_is_told(veil: Veil) -> None:
    reading = Reading(sensor="clients", channel="auth", value=1, unit="count", boot_ns=1)
    assert veil.show(reading) is reading
