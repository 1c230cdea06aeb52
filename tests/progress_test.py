"""Progress: a few plain lines in a log, or a bar in a terminal that survives lines from other writers."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import sys
import termios
import time
from collections.abc import Iterator

import pytest
from absl import logging

from seer_tf import progress
from seer_tf.progress import Progress, silent


def test_lines_say_how_far_how_fast_and_how_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 20.0, 25.0, 40.0, 60.0, 60.0, 60.0, 60.0, 60.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Progress(100, "step", "pretraining", done=20) as bar:  # the clock shows 0
        bar.advance(20)  # the clock shows 20, and 25 for the line
        bar.advance(40, note="loss 3")  # the clock shows 40, and 60 for the line
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "pretraining: 40 of 100 steps, 1.2 s each, 1 min 15 s left",
        "pretraining: 80 of 100 steps, 1.0/s, 20 s left, loss 3",
    ]


def test_the_line_of_a_terminal_keeps_the_last_note_and_says_what_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress(4, "step", "pretraining") as bar:
        bar.advance(1, note="loss 3")
        bar.advance(2)
    assert re.search(r"pretraining .* 3/4, [0-9.]+/s, [0-9:?]+ left, loss 3", capsys.readouterr().err)


def test_work_that_ends_at_once_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_a_single_piece_is_counted_in_the_singular(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 20.0, 20.0, 20.0, 20.0, 20.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Progress(1, "image", "writing 1 shard") as bar:
        bar.advance()
    assert capsys.readouterr().err == "writing 1 shard: 1 of 1 image, 20.0 s each\n"


_NOTE = "loss 0.763 ln K, k-NN 54.3 %, linear probe 58.9 %, 612 images/s, 0 % waiting for data"


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (0, "left, loss 0.763 ln K, k-NN 54.3 %"),
        (50, "left"),
        (80, "left, loss 0.763 ln K, k-NN 54.3 %"),
        (200, f"left, {_NOTE}"),
    ],
)
def test_a_note_is_cut_between_its_parts(columns: int, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with _terminal(columns, monkeypatch) as screen, Progress(600, "step", "pretraining", done=299) as bar:
        time.sleep(0.2)
        bar.advance(1, _NOTE)
    assert screen[0].startswith("pretraining |")
    assert screen[0].endswith(shown)
    assert len(screen[0]) < (columns or 80)


def test_lines_from_other_writers_stand_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines from the log, standard error and standard output appear complete and above the bar.

    One line arrives in two parts, and one line arrives while a second bar is shown.
    """
    with _terminal(80, monkeypatch) as screen, Progress(600, "step", "pretraining", done=200) as bar:
        bar.advance(100)
        logging.warning("a warning")
        print("in ", end="", file=sys.stderr)
        print("parts", file=sys.stderr)
        print("printed")
        with Progress(2, "image", "inside"):
            print("further")
    bars_and_absl = ("pretraining", "inside", "WARNING: Logging before flag parsing")
    others = [re.sub(r"^W.*(absl:|\] )", "", line) for line in screen if not line.startswith(bars_and_absl)]
    assert others == ["a warning", "in parts", "printed", "further"]
    assert screen[-1].startswith("pretraining |")


@contextlib.contextmanager
def _terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Replaces standard output and standard error by a terminal.

    Yields:
        A list. At the end of the block it gets the lines that the terminal shows.
    """
    screen: list[str] = []
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with open(slave, "w", buffering=1) as terminal:
        # A command has absl's handler. Here the handler may be missing, because TensorFlow installs it during its
        # import.
        monkeypatch.setattr(logging.get_absl_logger().root, "handlers", [logging.get_absl_handler()])
        handler = logging.get_absl_handler().python_handler
        before = handler.setStream(terminal)
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setattr(sys, "stdout", terminal)
        try:
            yield screen
        finally:
            handler.setStream(before)
            monkeypatch.undo()
    written = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(master, 1 << 16):
            written += part
    os.close(master)
    screen += _lines(written.decode())


def _lines(text: str) -> list[str]:
    """Returns the lines that a terminal shows at the end. Cursor moves between lines are ignored."""
    shown = []
    for line in re.sub(r"\x1b\[A", "", text).replace("\r\n", "\n").split("\n"):
        cells: list[str] = []
        for part in line.split("\r"):
            cells[: len(part)] = part
        shown.append("".join(cells).rstrip())
    return [line for line in shown if line]
