"""Progress of long work, on standard error: a bar on a terminal, and otherwise a plain line every few seconds."""

import contextlib
import contextvars
import logging
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import absl.logging
import tqdm

from seer_tf.errors import printable
from seer_tf.quantities import duration, pace, plural

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_WORTH_A_LINE = 2.0
_BAR = "{desc} |{bar}| {n_fmt}/{total_fmt}, {pace}, {remaining} left{postfix}"
_UNLIMITED_BAR, _LEAST_BAR = 10, 2  # characters: width of the bar when tqdm has no limit, and least width beside a note
_UNKNOWN_WIDTH = 80  # characters: a terminal may say that it has 0 columns, for example below some launchers of jobs
_is_silent = contextvars.ContextVar("_is_silent", default=False)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Hides the progress of work that starts in the body, for use inside larger work that shows its own progress."""
    token = _is_silent.set(True)
    try:
        yield
    finally:
        _is_silent.reset(token)


class Progress:
    """Counts finished pieces of work, and shows the rate and the time left.

    Use it as a context manager and call `advance` after each piece. While a bar is visible, lines that Python code logs
    or prints appear above it.
    """

    def __init__(self, total: int, unit: str, label: str, done: int = 0) -> None:
        """Starts the clock.

        Args:
            total: Number of all pieces.
            unit: Name of a piece in the singular, e.g. "image".
            label: Name of the work, e.g. "writing shards".
            done: Number of pieces that were finished earlier.
        """
        self._total, self._unit, self._label = total, unit, printable(label)
        self._done = done
        self._already = done
        self._shown = -1
        self._note = ""
        self._started = self._last_line = time.monotonic()
        self._silent = _is_silent.get()
        self._bar: _Bar | None = None
        self._while_shown = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Shows the bar if standard error is a terminal."""
        if sys.stderr.isatty() and not self._silent:
            self._bar = self._while_shown.enter_context(
                _Bar(
                    total=self._total,
                    initial=self._done,
                    desc=self._label,
                    bar_format=_BAR,
                    dynamic_ncols=True,
                    file=_terminal(sys.stderr),
                )
            )
            self._while_shown.enter_context(_lines_above_bars())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the bar, or prints the last line if the work took more than two seconds."""
        self._while_shown.close()
        if self._bar is None and self._shown != self._done and time.monotonic() - self._started > _SECONDS_WORTH_A_LINE:
            self._line()

    def advance(self, pieces: int = 1, note: str = "") -> None:
        """Counts finished pieces.

        Args:
            pieces: Number of pieces that were finished since the last call.
            note: A few words about the work, which stay until the next note: parts separated by commas, the most
                important part first. A terminal shows as many parts as fit into its width.
        """
        self._done += pieces
        self._note = note or self._note
        if self._bar is not None:
            self._bar.note = self._note
            self._bar.update(pieces)
        elif time.monotonic() - self._last_line > _SECONDS_BETWEEN_LINES:
            self._line()

    def _line(self) -> None:
        if self._silent:
            return
        now = time.monotonic()
        self._last_line, self._shown = now, self._done
        rate = (self._done - self._already) / max(now - self._started, 1e-9)
        left = f", {duration((self._total - self._done) / rate)} left" if rate and self._done < self._total else ""
        note = f", {self._note}" if self._note else ""
        pieces = f"{self._total} {self._unit if self._total == 1 else plural(self._unit)}"
        print(f"{self._label}: {self._done} of {pieces}, {pace(rate)}{left}{note}", file=sys.stderr, flush=True)


class _Bar(tqdm.tqdm):
    """A bar with a note. Only as many leading parts of the note are shown as fit beside the bar.

    Attributes:
        note: Parts separated by commas.
    """

    note = ""

    @property
    def format_dict(self) -> dict[str, Any]:
        """Values for the format of the bar."""
        values = dict(super().format_dict)
        per_second = values["rate"] or (values["n"] - values["initial"]) / max(values["elapsed"], 1e-9)
        width = (
            values["ncols"] if (values["ncols"] or 0) > 0 else _UNKNOWN_WIDTH - 1
        )  # tqdm leaves the last column free
        values |= {"pace": pace(per_second), "postfix": self.note, "ncols": width}
        while values["postfix"]:
            longest = self.format_meter(**{**values, "ncols": None})
            if len(longest) - _UNLIMITED_BAR + _LEAST_BAR <= values["ncols"]:
                break
            values["postfix"] = values["postfix"].rpartition(", ")[0]
        return values


class _LinesAboveBars:
    """A stream that writes complete lines above the bars on the terminal."""

    def __init__(self, stream: Any, bars: Any) -> None:
        """Takes the stream to write to, and the stream that shows the bars."""
        self.stream, self._bars, self._begun = stream, bars, ""

    def write(self, text: str) -> int:
        lines, line_end, self._begun = (self._begun + text).rpartition("\n")
        if line_end:
            with _Bar.external_write_mode(file=self._bars):
                self.stream.write(lines + line_end)
                self.stream.flush()
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _terminal(stream: Any) -> Any:
    """Returns the original stream, if an outer bar has replaced it."""
    return stream.stream if isinstance(stream, _LinesAboveBars) else stream


@contextlib.contextmanager
def _lines_above_bars() -> Iterator[None]:
    """Moves printed and logged lines above the bars. Otherwise a line would leave a part of a bar behind."""
    bars = _terminal(sys.stderr)
    errors = _LinesAboveBars(bars, bars)
    handlers = [absl.logging.get_absl_handler().python_handler, *logging.getLogger("tensorflow").handlers]
    taken = [handler for handler in handlers if isinstance(handler, logging.StreamHandler) and handler.stream is bars]
    with contextlib.ExitStack() as after:
        after.enter_context(contextlib.redirect_stderr(errors))
        if sys.stdout.isatty():
            after.enter_context(contextlib.redirect_stdout(_LinesAboveBars(_terminal(sys.stdout), bars)))
        for handler in taken:
            after.callback(handler.setStream, bars)
            handler.setStream(errors)
        yield
