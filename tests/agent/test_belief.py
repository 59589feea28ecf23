from hypothesis import given
from hypothesis import strategies as st

from agent.belief import BUILT_UTC_MS, DAY_MS, HOUR_MS, LAST_UTC_MS, Bounds, News, Sighting, Source, Told, best

NOW = BUILT_UTC_MS + 100 * DAY_MS


def seen(source: Source, utc_ms: int = NOW, *, boot_ms: int = 0, uncertainty_ms: int = 1000) -> Sighting:
    return Sighting(source=source, boot_ms=boot_ms, utc_ms=utc_ms, uncertainty_ms=uncertainty_ms)


def test_without_a_source_nothing_is_believed() -> None:
    assert best([], 0, kept=False) is None


def test_a_kernel_that_is_kept_is_best_and_one_that_was_ages() -> None:
    kernel, gnss = seen(Source.KERNEL, uncertainty_ms=900), seen(Source.GNSS, boot_ms=HOUR_MS * 5)
    assert best([gnss, seen(Source.KERNEL, uncertainty_ms=16_000)], HOUR_MS * 5, kept=True) != gnss
    assert best([kernel, gnss], HOUR_MS * 5, kept=False) == gnss
    assert best([kernel, seen(Source.GNSS)], 0, kept=False) == kernel


def test_what_is_impossible_is_named() -> None:
    told = Bounds(floor_ms=NOW, told=Told(boot_ms=0, utc_ms=NOW))
    assert "built" in told.doubt(BUILT_UTC_MS - 1, 0)
    assert "ten years" in told.doubt(LAST_UTC_MS + 1, 0)
    assert "a day from the center" in told.doubt(NOW + DAY_MS + 1, 0)
    assert told.doubt(NOW + DAY_MS + HOUR_MS, HOUR_MS) == ""
    assert "before the newest" in Bounds(floor_ms=NOW).doubt(NOW - DAY_MS - 1, 0)
    assert Bounds().doubt(BUILT_UTC_MS, 0) == ""


@given(st.integers(), st.integers(0, 10**12))
def test_a_doubt_is_a_text_for_any_time(utc_ms: int, boot_ms: int) -> None:
    doubt = Bounds(floor_ms=NOW, told=Told(boot_ms=5, utc_ms=NOW)).doubt(utc_ms, boot_ms)
    assert bool(doubt) or abs(utc_ms - NOW - (boot_ms - 5)) <= DAY_MS


def test_a_source_is_news_once() -> None:
    news = News()
    assert news.take(seen(Source.RTC), believed=False)
    assert not news.take(seen(Source.RTC), believed=False)
    assert not news.take(seen(Source.RTC), believed=True)
    assert news.take(seen(Source.HAND), believed=False)


def test_a_step_is_news_at_once_when_it_is_believed_and_within_the_hour_when_it_is_not() -> None:
    news = News()
    news.take(seen(Source.RTC), believed=False)
    assert not news.take(seen(Source.RTC, NOW + 1000), believed=True)
    assert news.take(seen(Source.RTC, NOW + 1001), believed=True)
    assert not news.take(seen(Source.RTC, NOW + 9000), believed=False)
    assert not news.take(seen(Source.RTC, NOW + 9000 + HOUR_MS - 1, boot_ms=HOUR_MS - 1), believed=False)
    assert news.take(seen(Source.RTC, NOW + 9000 + HOUR_MS, boot_ms=HOUR_MS), believed=False)


def test_an_hour_later_only_what_no_header_says_is_news_again() -> None:
    for source, believed, again in (
        (Source.KERNEL, True, False),
        (Source.GNSS, True, True),
        (Source.GNSS, False, False),
        (Source.RTC, True, True),
    ):
        news = News()
        news.take(seen(source), believed=believed)
        assert news.take(seen(source, NOW + HOUR_MS, boot_ms=HOUR_MS), believed=believed) is again
