"""Progress of long work: a bar on a terminal, a plain line every few seconds elsewhere; both on standard error."""

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

from seer_tf.quantities import duration, pace, plural

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_WORTH_A_LINE = 2.0
_BAR = "{desc} |{bar}| {n_fmt}/{total_fmt}, {pace}, {remaining} left{postfix}"
_UNLIMITED_BAR, _LEAST_BAR = 10, 2  # characters: what tqdm draws where no width is given, what is left beside a note
_is_silent = contextvars.ContextVar("_is_silent", default=False)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Shows no progress of what begins inside: it is part of work that has its own."""
    token = _is_silent.set(True)
    try:
        yield
    finally:
        _is_silent.reset(token)


class Progress:
    """Counts finished pieces of work and shows rate and time left.

    Use it as a context manager and call `advance` after each piece. While a bar is shown, lines that Python code logs
    or prints appear above it.
    """

    def __init__(self, total: int, unit: str, label: str, done: int = 0) -> None:
        """Starts the clock.

        Args:
            total: number of pieces in all.
            unit: what a piece is, in the singular, e.g. "image".
            label: what is being done, e.g. "writing shards".
            done: number of pieces that were finished earlier.
        """
        self._total, self._unit, self._label = total, unit, label
        self._done = done
        self._already = done
        self._shown = -1
        self._note = ""
        self._started = self._last_line = time.monotonic()
        self._silent = _is_silent.get()
        self._bar: _Bar | None = None
        self._while_shown = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Shows the bar, on a terminal."""
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
        """Ends the bar, or prints the last line where the work took more than moments."""
        self._while_shown.close()
        if self._bar is None and self._shown != self._done and time.monotonic() - self._started > _SECONDS_WORTH_A_LINE:
            self._line()

    def advance(self, pieces: int = 1, note: str = "") -> None:
        """Counts finished pieces.

        Args:
            pieces: how many more are finished.
            note: a few words on how it goes, shown until there are others: parts between commas, the most important
                first. A terminal shows as many parts as its width allows.
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
    """A bar with a note, of which it shows the first parts: as many as fit beside it.

    Attributes:
        note: parts between commas.
    """

    note = ""

    @property
    def format_dict(self) -> dict[str, Any]:
        """Returns what the bar is made of."""
        values = dict(super().format_dict)
        per_second = values["rate"] or (values["n"] - values["initial"]) / max(values["elapsed"], 1e-9)
        values |= {"pace": pace(per_second), "postfix": self.note}
        while values["postfix"] and values["ncols"]:
            longest = self.format_meter(**{**values, "ncols": None})
            if len(longest) - _UNLIMITED_BAR + _LEAST_BAR <= values["ncols"]:
                break
            values["postfix"] = values["postfix"].rpartition(", ")[0]
        return values


class _LinesAboveBars:
    """A stream whose whole lines appear above the bars of the terminal."""

    def __init__(self, stream: Any, bars: Any) -> None:
        """Takes the stream to write to, and the one on which the bars are."""
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
    """Returns the stream itself where it is one that another bar has taken over."""
    return stream.stream if isinstance(stream, _LinesAboveBars) else stream


@contextlib.contextmanager
def _lines_above_bars() -> Iterator[None]:
    """Puts what is printed or logged above the bars: written between, it would leave half of a bar behind."""
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
