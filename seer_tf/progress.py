"""Progress of long work: a bar on a terminal, a plain line every few seconds elsewhere; both on standard error."""

import sys
import time
from types import TracebackType
from typing import Self

import tqdm

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_WORTH_A_LINE = 2.0


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
        self._bar = tqdm.tqdm(total=total, initial=done, unit=unit, desc=label) if sys.stderr.isatty() else None

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
        """Counts `pieces` more as done, and shows `note` (a few words on how it goes) with the next line."""
        self._done += pieces
        self._note = note
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(pieces)
        elif time.monotonic() - self._last_line > _SECONDS_BETWEEN_LINES:
            self._line()

    def _line(self) -> None:
        now = time.monotonic()
        self._last_line, self._shown = now, self._done
        rate = (self._done - self._already) / max(now - self._started, 1e-9)
        left = f", {(self._total - self._done) / rate:.0f} s left" if rate and self._done < self._total else ""
        note = f", {self._note}" if self._note else ""
        print(
            f"{self._label}: {self._done} of {self._total} {self._unit}s, {rate:.1f}/s{left}{note}",
            file=sys.stderr,
            flush=True,
        )
