"""Numbers in the form that people read."""

import pytest

from seer_tf.quantities import counted, duration, pace, percent


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (1, "shard", "1 shard"),
        (0, "image", "0 images"),
        (12_345, "image", "12,345 images"),
        (1, "class", "1 class"),
        (8, "class", "8 classes"),
        (2, "query", "2 queries"),
        (3, "array", "3 arrays"),
        (2, "box", "2 boxes"),
        (2, "epoch", "2 epochs"),
        (2, "batch", "2 batches"),
        (1, "test image", "1 test image"),
        (1.0, "minute", "1 minute"),
        (1_234_567.0, "image", "1,234,567 images"),
        (0.5, "minute", "0.5 minutes"),
    ],
)
def test_a_noun_follows_its_number(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text


def test_a_fraction_is_said_in_percent() -> None:
    assert (percent(0.5428), percent(0.5428, 0), percent(0.0)) == ("54.3 %", "54 %", "0.0 %")


def test_a_slow_pace_is_given_as_seconds_for_each_piece() -> None:
    assert (pace(4.62), pace(0.08), pace(0.0)) == ("4.6/s", "12.5 s each", "?/s")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(41.7, "42 s"), (59.8, "1 min 0 s"), (200, "3 min 20 s"), (5 * 3600 + 430, "5 h 7 min"), (187_300, "2 d 4 h")],
)
def test_a_duration_is_said_in_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
