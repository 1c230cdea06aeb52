"""Ctrl-C, SIGTERM and SIGHUP: the first signal is answered at once; a second Ctrl-C or SIGTERM ends the process."""

import contextlib
import os
import signal
import socket
import threading
import types
from typing import Any, Self

_STDOUT, _STDERR = 1, 2


class Interrupted(KeyboardInterrupt):
    """A signal interrupts the current work.

    Attributes:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        """Creates the exception for the signal with this number."""
        super().__init__(signal.Signals(number).name)
        self.number = number


class StopSignals:
    """Handles the signals while a `with` statement runs.

    A thread waits for signals, so the answer comes at once even while the main thread computes in TensorFlow. The
    second Ctrl-C or SIGTERM ends the process with exit status 128 plus the number of the signal. SIGHUP never ends the
    process, because the shell and the kernel both send one when a terminal is closed. A SIGHUP that is ignored, as
    under `nohup`, stays ignored.

    Attributes:
        received: Name of the first signal, or None.
    """

    def __init__(self, answer: str, *, raises: bool = False) -> None:
        """Creates the handler.

        Args:
            answer: Text that tells the user what happens after the first signal.
            raises: Whether the first signal raises `Interrupted` in the main thread. If not, only `received` changes.
        """
        self.received: str | None = None
        self._answer, self._raises, self._has_raised, self._is_asked = answer, raises, False, False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Starts to handle the signals. Only the main thread may do this."""
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
        """Restores the previous handlers."""
        while self._before:
            signal.signal(*self._before.popitem())
        signal.set_wakeup_fd(self._fd_before)
        self._writer.close()
        self._thread.join()
        self._reader.close()
        os.close(self._output)

    def _handle(self, number: int, _: types.FrameType | None) -> None:
        """Runs in the main thread as soon as the thread executes Python."""
        if self._raises and not self._has_raised:
            self._has_raised = True
            raise Interrupted(number)

    def _watch(self, numbers: set[int]) -> None:
        """Runs in a separate thread. Python's C handler writes the number of each signal as one byte."""
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
        """Writes a line on standard error, below the progress bar if there is one."""
        start = "\n" if os.isatty(self._output) else ""
        with contextlib.suppress(OSError):
            os.write(self._output, f"{start}{sentence}\n".encode())


def _leave_closed_terminal() -> None:
    """Discards further output to a closed terminal. Writing to it fails, and then the run would not be saved."""
    for output in (_STDOUT, _STDERR):
        try:
            os.write(output, b"")
        except OSError:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), output)
