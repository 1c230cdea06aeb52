"""Ctrl-C, SIGTERM and SIGHUP: the first is answered at once, a second Ctrl-C or SIGTERM ends the process."""

import contextlib
import os
import signal
import socket
import threading
import types
from typing import Any, Self

_STDOUT, _STDERR = 1, 2


class Interrupted(KeyboardInterrupt):
    """A signal ends what is being done.

    Attributes:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        """Names the signal."""
        super().__init__(signal.Signals(number).name)
        self.number = number


class StopSignals:
    """Takes the signals over while a `with` statement runs.

    A thread waits for them, so the answer comes at once even while the main thread computes in TensorFlow. The second
    Ctrl-C or SIGTERM ends the process with exit status 128 plus the number of the signal. SIGHUP never does: shell and
    kernel both send it when a terminal is closed. A SIGHUP that is ignored, as under `nohup`, stays ignored.

    Attributes:
        received: Name of the first signal, or None.
    """

    def __init__(self, answer: str, *, raises: bool = False) -> None:
        """Prepares the answer.

        Args:
            answer: What happens after the first signal, for the line that says so.
            raises: Whether the first signal raises `Interrupted` in the main thread. If not, `received` is all that
                changes.
        """
        self.received: str | None = None
        self._answer, self._raises, self._has_raised, self._is_asked = answer, raises, False, False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Takes the signals over; only the main thread may do so."""
        self._output = os.dup(_STDERR)  # the answer goes there, even while standard error is redirected
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._fd_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        self._thread = threading.Thread(target=self._watch, args=(set(self._before),), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Gives the signals back."""
        while self._before:
            signal.signal(*self._before.popitem())
        signal.set_wakeup_fd(self._fd_before)
        self._writer.close()
        self._thread.join()
        self._reader.close()
        os.close(self._output)

    def _handle(self, number: int, _: types.FrameType | None) -> None:
        """Runs in the main thread, as soon as that executes Python."""
        if self._raises and not self._has_raised:
            self._has_raised = True
            raise Interrupted(number)

    def _watch(self, numbers: set[int]) -> None:
        """Runs in a thread of its own; Python's C handler writes the number of each signal as one byte."""
        while found := self._reader.recv(64):
            for number in found:
                if number in numbers:
                    self._take(number)

    def _take(self, number: int) -> None:
        name, hung_up = signal.Signals(number).name, number == signal.SIGHUP
        if hung_up:
            _leave_closed_terminal()
        elif self._is_asked:
            self._say(f"{name}: ended at once")
            os._exit(128 + number)
        if self.received is None or not hung_up:
            self._say(f"{name}: {self._answer}")
        self._is_asked = self._is_asked or not hung_up
        self.received = self.received or name

    def _say(self, sentence: str) -> None:
        """Writes a line on standard error, below the bar of progress if there is one."""
        start = "\n" if os.isatty(self._output) else ""
        with contextlib.suppress(OSError):
            os.write(self._output, f"{start}{sentence}\n".encode())


def _leave_closed_terminal() -> None:
    """Drops all further output to a terminal that is gone: writing there fails, and the run would not be saved."""
    for output in (_STDOUT, _STDERR):
        try:
            os.write(output, b"")
        except OSError:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), output)
