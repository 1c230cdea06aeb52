"""A watched command: what grows is seen to grow, what stays is seen to stay, and a failure is no measurement."""

import pathlib
import sys

import pytest

from benchmarks.harness.process_watch import QUANTITIES, Look, quarters, watched

_GROWING = """
import pathlib, sys, threading, time
kept, place = [], pathlib.Path(sys.argv[1])
for number in range(40):
    kept.append(bytearray(4 << 20))
    (place / f"{number}.txt").write_text("x" * 100_000)
    print("y" * 1000, flush=True)
    time.sleep(0.1)
"""


def test_growth_is_seen(tmp_path: pathlib.Path) -> None:
    (tmp_path / "output").mkdir()
    command = [sys.executable, "-c", _GROWING, str(tmp_path / "output")]
    looks = watched(command, tmp_path / "output", tmp_path / "log", seconds_between=0.1)
    found = quarters(looks)
    for name in ("memory, MiB", "files", "files, MiB", "output, KiB"):
        assert found[name] == sorted(found[name]) and found[name][3] > 1.3 * found[name][1], name
    for name in ("descriptors", "threads"):
        assert found[name][1] == found[name][3] > 0, name


def test_quarters_have_medians() -> None:
    looks = [Look(number, 1, 1, 1, 1, 1) for number in range(8)]
    assert quarters(looks) == {
        "memory, MiB": [0.5, 2.5, 4.5, 6.5],
        **dict.fromkeys(list(QUANTITIES.values())[1:], [1] * 4),
    }
    assert quarters(looks[:1])["memory, MiB"] == [0.0] * 4


def test_a_command_that_fails_is_no_measurement(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('it is broken')"]
    with pytest.raises(RuntimeError, match="ended with 1:\nit is broken"):
        watched(command, tmp_path, tmp_path / "log", seconds_between=0.1)
