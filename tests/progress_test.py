"""Progress: plain lines, and few of them, or the bar of a terminal that others' lines do not break."""

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
    with Progress(100, "step", "pretraining", done=20) as bar:  # the clock says 0
        bar.advance(20)  # 20, and 25 in the line
        bar.advance(40, note="loss 3")  # 40, and 60 in the line
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


def test_one_piece_is_one_piece(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_lines_of_others_stand_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log, standard error and, on the same terminal, standard output; in parts, and while there are two bars."""
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
    """Puts a terminal where standard output and standard error are; the list has afterwards what it shows."""
    screen: list[str] = []
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with open(slave, "w", buffering=1) as terminal:
        # As in a command. Without TensorFlow, which another test may have imported, nobody has installed the handler.
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
    """Returns what a terminal shows at the end, without moves of the cursor between lines."""
    shown = []
    for line in re.sub(r"\x1b\[A", "", text).replace("\r\n", "\n").split("\n"):
        cells: list[str] = []
        for part in line.split("\r"):
            cells[: len(part)] = part
        shown.append("".join(cells).rstrip())
    return [line for line in shown if line]
