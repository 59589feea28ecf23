import pytest

from agent.reserve import Limit, Reserve
from drivers.reading import Quality, Reading

LIMIT = Limit(watch="ups/charge", below=15.0, unit="%", for_s=60.0, and_on="ups/on_battery", not_before_s=600.0)
WHY = "ups/charge at 14 %, below 15 % for 60 s"


class Play:
    """A UPS that is read every 5 s."""

    def __init__(self, limit: Limit = LIMIT, start_s: float = 3600.0) -> None:
        self.reserve = Reserve(limit)
        self.now_s = start_s

    def say(self, channel: str, value: float | bool | str, *flags: Quality) -> str | None:  # noqa: FBT001
        reading = Reading(
            sensor="ups",
            channel=channel,
            value=value,
            unit="1",
            boot_ns=int(self.now_s * 1e9),
            quality=frozenset(flags),
        )
        return self.reserve.take(reading)

    def run(self, seconds: float, charge: float, *, mains: bool) -> list[tuple[float, str]]:
        """Return when and why it ended within this time."""
        end_s, told = self.now_s + seconds, []
        while self.now_s < end_s:
            for channel, value in (("on_battery", not mains), ("charge", charge)):
                if why := self.say(channel, value):
                    told.append((self.now_s, why))
            self.now_s += 5.0
        return told


def test_an_empty_battery_without_mains_ends_the_box_once_after_its_time() -> None:
    play = Play()
    assert play.run(300, 80, mains=False) == []
    began_s = play.now_s
    assert play.run(3600, 14, mains=False) == [(began_s + 60, WHY)]


def test_an_empty_battery_while_the_mains_is_there_is_only_charging() -> None:
    assert Play().run(7200, 3, mains=True) == []


def test_mains_that_comes_back_in_time_begins_the_time_anew() -> None:
    play = Play()
    assert play.run(55, 14, mains=False) == []
    assert play.run(5, 14, mains=True) == []
    assert play.run(55, 14, mains=False) == []
    assert play.run(10, 14, mains=False) == [(play.now_s - 5, WHY)]


def test_a_value_exactly_at_the_limit_is_not_below_it() -> None:
    assert Play().run(600, 15, mains=False) == []


def test_a_box_that_just_started_does_not_end_at_once_again() -> None:
    play = Play(start_s=20.0)
    assert play.run(900, 14, mains=False) == [(600.0, WHY)]


def test_a_box_that_just_started_with_a_good_battery_need_not_wait() -> None:
    play = Play(start_s=20.0)
    play.run(10, 80, mains=False)
    assert play.run(100, 14, mains=False) == [(90.0, WHY)]


def test_after_an_end_that_was_refused_it_is_tried_again_only_once_the_battery_was_above() -> None:
    play = Play()
    assert len(play.run(600, 14, mains=False)) == 1
    assert play.run(600, 14, mains=True) == []
    assert play.run(3600, 14, mains=False) == []
    play.run(10, 16, mains=True)
    assert len(play.run(3600, 14, mains=False)) == 1


@pytest.mark.parametrize("start_s", [1.0, 30.0, 300.0])
def test_five_mains_cuts_a_day_end_the_box_at_most_once_each(start_s: float) -> None:
    ends = 0
    for _ in range(5):
        play = Play(start_s=start_s)  # the box starts when the mains is back
        assert play.run(400, 10, mains=True) == [], "the battery is still empty"
        play.run(3600, 60, mains=True)
        ends += len(play.run(3600, 10, mains=False))
    assert ends == 5


def test_mains_that_flickers_while_the_battery_is_empty_does_not_end_it_after_each_start() -> None:
    for _ in range(5):
        play = Play(start_s=15.0)
        assert play.run(500, 10, mains=False) == []


@pytest.mark.parametrize("flag", [Quality.STALE, Quality.OUT_OF_RANGE, Quality.UNCONFIRMED])
def test_doubted_readings_count_for_nothing(flag: Quality) -> None:
    play = Play()
    play.run(5, 80, mains=False)
    for _ in range(60):
        assert play.say("charge", 1.0, flag) is None
        play.now_s += 5.0


def test_a_ups_that_fell_silent_is_no_reason() -> None:
    play = Play()
    play.run(30, 14, mains=False)
    play.now_s += 300.0
    assert play.say("charge", 14.0) is None, "nobody knows of the mains"
    assert play.say("on_battery", value=True) is None, "and now it begins anew"
    assert not Reserve(LIMIT).holds(0)


def test_texts_and_other_channels_count_for_nothing() -> None:
    play = Play()
    play.run(5, 14, mains=False)
    assert play.say("charge", "empty") is None
    assert play.say("load", 1.0) is None


def test_without_a_channel_for_the_mains_the_value_alone_decides() -> None:
    play = Play(Limit(watch="ups/charge", below=15.0, unit="%", for_s=0.0, and_on="", not_before_s=0.0))
    assert play.say("charge", 14.0) == "ups/charge at 14 %, below 15 % for 0 s"


def test_the_evidence_stands_until_the_mains_is_back() -> None:
    play = Play()
    play.run(100, 14, mains=False)
    now_ns = int(play.now_s * 1e9)
    assert play.reserve.holds(now_ns)
    play.say("on_battery", value=False)
    assert not play.reserve.holds(now_ns)
