"""Signals to real processes: `StopSignals` answers at once, even if the main thread is busy."""

import contextlib
import os
import pathlib
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from seer_tf import stop_signals

# Only this file is loaded, because the import of the package takes seconds.
_LOAD = f"""
import hashlib, importlib.util, os, signal, sys, time
spec = importlib.util.spec_from_file_location("stop_signals", {stop_signals.__file__!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
"""
# The C code runs longer than any test waits, so Python's signal handlers never run.
_DEAF = "hashlib.pbkdf2_hmac('sha256', b'', b'', 1 << 28)"
_UNTIL_RECEIVED = "while stop.received is None: time.sleep(0.01)"


@contextlib.contextmanager
def _started(body: str, *, raises: bool = False, on_hangup: str = "SIG_DFL") -> Iterator[subprocess.Popen[str]]:
    """Starts a process that runs the body inside `StopSignals`, and kills the process at the end."""
    code = (
        f"{_LOAD}signal.signal(signal.SIGHUP, signal.{on_hangup})\n"
        f"with module.StopSignals('it ends', raises={raises}) as stop:\n"
        f"    print('ready', flush=True)\n    {body}\nprint('after', stop.received, flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def _answer(process: subprocess.Popen[str]) -> str:
    """Returns the next line of standard error. The line must come within two seconds."""
    assert process.stderr is not None
    started = time.monotonic()
    line = process.stderr.readline()
    assert time.monotonic() - started < 2
    return line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_busy_process_answers_the_first_signal_and_ends_at_the_second(number: signal.Signals) -> None:
    with _started(_DEAF) as process:
        process.send_signal(number)
        assert _answer(process) == f"{number.name}: it ends\n"
        process.send_signal(number)
        assert process.wait(2) == 128 + number
        assert process.communicate() == ("", f"{number.name}: ended at once\n")


def test_two_different_signals_end_a_busy_process() -> None:
    with _started(_DEAF) as process:
        process.send_signal(signal.SIGINT)
        assert _answer(process) == "SIGINT: it ends\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(2) == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_body_sees_the_signal_and_ends_normally(number: signal.Signals) -> None:
    with _started(f"{_UNTIL_RECEIVED}\n    print('saved')") as process:
        process.send_signal(number)
        assert process.communicate(timeout=5) == (f"saved\nafter {number.name}\n", f"{number.name}: it ends\n")
        assert process.returncode == 0


def test_a_second_sighup_does_not_end_the_process() -> None:
    with _started(f"{_UNTIL_RECEIVED}\n    time.sleep(1)") as process:
        process.send_signal(signal.SIGHUP)
        assert _answer(process) == "SIGHUP: it ends\n"
        process.send_signal(signal.SIGHUP)
        assert process.communicate(timeout=5) == ("after SIGHUP\n", "")


def test_an_ignored_sighup_stays_ignored() -> None:
    with _started("time.sleep(0.5)", on_hangup="SIG_IGN") as process:
        process.send_signal(signal.SIGHUP)
        assert process.communicate(timeout=5) == ("after None\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_with_raises_the_signal_raises_interrupted_in_the_body(number: signal.Signals) -> None:
    body = (
        "try: print('open', flush=True), time.sleep(60)\n"
        "    except module.Interrupted as error: print('closed', error.number)"
    )
    with _started(body, raises=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "open\n"
        process.send_signal(number)
        output, errors = process.communicate(timeout=5)
    assert (output, errors) == (f"closed {int(number)}\nafter {number.name}\n", f"{number.name}: it ends\n")


def test_the_earlier_handlers_return_after_the_body() -> None:
    code = f"{_LOAD}\nwith module.StopSignals(''): pass\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)"
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == -signal.SIGTERM


def test_printing_to_a_closed_terminal_does_not_fail(tmp_path: pathlib.Path) -> None:
    code = f"""{_LOAD}
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # it is ignored where the tests run under nohup
with module.StopSignals("it ends") as stop:
    open({str(tmp_path / "begun")!r}, "w").close()
    {_UNTIL_RECEIVED}
    print("more", flush=True)
    print("more", file=sys.stderr, flush=True)
open({str(tmp_path / "saved")!r}, "w").close()
"""
    process, terminal = pty.fork()
    if not process:
        os.execv(sys.executable, [sys.executable, "-c", code])
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert (tmp_path / "saved").exists()
