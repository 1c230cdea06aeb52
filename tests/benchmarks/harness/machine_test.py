"""The machine: what other processes take from it is seen."""

import os
import subprocess
import sys

from benchmarks.harness.machine import machine


def test_what_others_keep_busy_is_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            busy = machine()["busy_cores"]
        finally:
            other.kill()
    assert 0.5 < busy <= 1.1 * (os.cpu_count() or 1)
