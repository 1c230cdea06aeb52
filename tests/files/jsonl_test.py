"""JSON lines: a line is appended completely or not at all, even after the half line of a killed process."""

import concurrent.futures
import fcntl
import json
import pathlib
import resource
import signal
import subprocess
import sys

import pytest

from seer_tf.files import jsonl


def test_a_line_after_half_a_line_is_complete(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "log.jsonl"
    jsonl.append_line(file, '{"step": 1}')
    with file.open("a") as lines:
        lines.write('{"step": 2, "lo')
    jsonl.append_line(file, '{"step": 3}')
    assert file.read_text() == '{"step": 1}\n{"step": 2, "lo\n{"step": 3}\n'
    assert list(jsonl.read_complete(file)) == [{"step": 1}, {"step": 3}]


def test_half_a_last_line_and_values_that_are_no_objects_are_skipped(tmp_path: pathlib.Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n\n[2]\n3\n{"step": 4')
    assert list(jsonl.read_complete(tmp_path / "log.jsonl")) == [{"step": 1}]


def test_several_writers_lose_no_line(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "log.jsonl"
    lines = [json.dumps({"number": number, "padding": "x" * 5000}) for number in range(200)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda line: jsonl.append_line(file, line), lines))
    assert sorted(values["number"] for values in jsonl.read_complete(file)) == list(range(200))


def test_a_writer_waits_for_another(tmp_path: pathlib.Path) -> None:
    """A writer without the lock could remove another writer's line together with its own half line."""
    file = tmp_path / "log.jsonl"
    with file.open("a") as held, concurrent.futures.ThreadPoolExecutor(1) as pool:
        fcntl.flock(held, fcntl.LOCK_EX)
        writing = pool.submit(jsonl.append_line, file, "{}")
        with pytest.raises(TimeoutError):
            writing.result(timeout=0.2)
        assert file.read_text() == ""
        fcntl.flock(held, fcntl.LOCK_UN)
        writing.result(timeout=60)
    assert file.read_text() == "{}\n"


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: pathlib.Path) -> None:
    """A limit on the file size replaces the full disk."""
    file = tmp_path / "log.jsonl"
    jsonl.append_line(file, '{"step": 1}')
    code = (
        f"from seer_tf.files import jsonl; jsonl.append_line({str(file)!r}, '{{\"padding\": \"' + 'x' * 500 + '\"}}')"
    )

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    child = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, preexec_fn=limit)
    assert child.returncode == 1 and "OSError" in child.stderr
    assert file.read_text() == '{"step": 1}\n'
