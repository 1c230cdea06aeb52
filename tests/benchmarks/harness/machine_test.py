"""The description of the machine counts the cores that other processes keep busy."""

import os
import subprocess
import sys

from benchmarks.harness.machine import machine


def test_cores_that_other_processes_keep_busy_are_counted() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            busy = machine()["busy_cores"]
        finally:
            other.kill()
    assert 0.5 < busy <= 1.1 * (os.cpu_count() or 1)
