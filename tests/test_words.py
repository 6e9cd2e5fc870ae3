"""Numbers in sentences."""

import pytest

from hprnet_rt.words import counted, duration


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (0, "frame", "0 frames"),
        (1, "frame", "1 frame"),
        (2, "frame", "2 frames"),
        (1, "person", "1 person"),
        (3, "person", "3 people"),
        (1, "hidden file", "1 hidden file"),
        (12, "hidden file", "12 hidden files"),
    ],
)
def test_one_is_not_many(number, noun, said):
    assert counted(number, noun) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (12.34, "12.3 s"),
        (59.96, "1 min 0 s"),
        (65.2, "1 min 5 s"),
        (3599.7, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_times_are_said_as_people_say_them(seconds, said):
    assert duration(seconds) == said
