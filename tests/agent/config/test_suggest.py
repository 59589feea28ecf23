import pytest

from agent.config.suggest import choice, near


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("prot", ("port",)),  # swapped neighbours
        ("keepalve", ("keepalive",)),
        ("drivver", ("driver",)),
        ("silent-means", ("silent_means",)),
        ("EVERY", ("every",)),
        ("xyz", ()),
        ("abc", ()),
        ("", ()),
    ],
)
def test_a_slip_of_the_pen_finds_the_key_that_was_meant(word: str, meant: tuple[str, ...]) -> None:
    assert near(word, ("port", "keepalive", "driver", "silent_means", "every", "for")) == meant


def test_only_the_nearest_count_and_never_more_than_three() -> None:
    assert near("level", ("levels", "lever", "leve", "revel", "lvels")) == ("leve", "levels", "lever")
    assert near("stpe", ("step", "stale")) == ("step",)


def test_the_word_itself_is_no_suggestion() -> None:
    assert near("port", ("port",)) == ()


def test_choices_read_as_a_sentence() -> None:
    assert [choice(words) for words in ((), ("a",), ("a", "b"), ("a", "b", "c"))] == [
        "none",
        '"a"',
        '"a" or "b"',
        '"a", "b" or "c"',
    ]
