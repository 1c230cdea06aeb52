"""Progress on something that is not a terminal: plain lines, and few of them."""

import re
import sys

import pytest

from seer_tf import progress
from seer_tf.progress import Progress, duration, silent


def test_lines_say_how_far_how_fast_and_how_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 20.0, 25.0, 40.0, 60.0, 60.0, 60.0, 60.0, 60.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Progress(100, "step", "pretraining", done=20) as bar:  # the clock says 0
        bar.advance(20)  # 20, and 25 in the line
        bar.advance(40, note="loss 3")  # 40, and 60 in the line
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "pretraining: 40 of 100 steps, 0.8/s, 1 min 15 s left",
        "pretraining: 80 of 100 steps, 1.0/s, 20 s left, loss 3",
    ]


def test_the_line_of_a_terminal_keeps_the_last_note_and_says_what_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress(4, "step", "pretraining") as bar:
        bar.advance(1, note="loss 3")
        bar.advance(2)
    assert re.search(r"pretraining:  75%.* 3/4, .*step.*, [0-9:?]+ left, loss 3", capsys.readouterr().err)


def test_what_takes_moments_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(2, "image", "writing") as bar:
        bar.advance(2)
    assert capsys.readouterr().err == ""


def test_part_of_work_that_shows_its_own_progress_is_silent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 20.0, 40.0, 60.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with silent(), Progress(100, "fit", "linear probe") as bar:
        bar.advance(20)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(41.7, "42 s"), (200, "3 min 20 s"), (5 * 3600 + 430, "5 h 7 min"), (187_300, "2 d 4 h")]
)
def test_a_duration_is_said_in_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
