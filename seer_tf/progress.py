"""Progress of long work: a bar on a terminal, a plain line every few seconds elsewhere; both on standard error."""

import contextlib
import contextvars
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import tqdm

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_WORTH_A_LINE = 2.0
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}, {rate_fmt}, {remaining} left{postfix}"
_is_silent = contextvars.ContextVar("_is_silent", default=False)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Shows no progress of what begins inside: it is part of work that has its own."""
    token = _is_silent.set(True)
    try:
        yield
    finally:
        _is_silent.reset(token)


def duration(seconds: float) -> str:
    """Returns a time span as a person would say it: `42 s`, `3 min 20 s`, `5 h 7 min` or `2 d 4 h`."""
    for size, unit, part, part_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} {seconds % size // part:.0f} {part_unit}"
    return f"{seconds:.0f} s"


class Progress:
    """Counts finished pieces of work and shows rate and time left.

    Use it as a context manager and call `advance` after each piece.
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
        on_terminal = sys.stderr.isatty() and not self._silent
        self._bar = (
            tqdm.tqdm(total=total, initial=done, unit=unit, desc=label, bar_format=_BAR) if on_terminal else None
        )

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the bar, or prints the last line where the work was not a matter of moments."""
        if self._bar is not None:
            self._bar.close()
        elif self._shown != self._done and time.monotonic() - self._started > _SECONDS_WORTH_A_LINE:
            self._line()

    def advance(self, pieces: int = 1, note: str = "") -> None:
        """Counts `pieces` more as done, and shows `note` (a few words on how it goes) until there is another."""
        self._done += pieces
        self._note = note or self._note
        if self._bar is not None:
            self._bar.set_postfix_str(self._note, refresh=False)
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
        print(
            f"{self._label}: {self._done} of {self._total} {self._unit}s, {rate:.1f}/s{left}{note}",
            file=sys.stderr,
            flush=True,
        )
