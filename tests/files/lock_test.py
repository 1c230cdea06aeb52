"""A lock has one holder at a time. The work continues on file systems without locks."""

import errno
import fcntl
import os
import pathlib

import pytest

from seer_tf.files import jsonl
from seer_tf.files.lock import locked


def test_a_lock_has_one_holder_at_a_time(tmp_path: pathlib.Path) -> None:
    with locked(tmp_path / "lock") as descriptor:
        assert os.path.samestat(os.fstat(descriptor), (tmp_path / "lock").stat())
        with pytest.raises(BlockingIOError), locked(tmp_path / "lock"):
            pytest.fail("two at once")
    with locked(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()


def test_without_locks_the_work_continues(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path / "lock"):
        jsonl.append_line(tmp_path / "log.jsonl", "{}")
    assert (tmp_path / "log.jsonl").read_text() == "{}\n"
    assert "lock cannot be locked" in caplog.text and "let one process at a time work there" in caplog.text
