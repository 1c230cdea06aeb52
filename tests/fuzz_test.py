"""A few random inputs of each kind; `python -m tests.fuzz` tries many."""

import pathlib

import pytest

from tests.fuzz import trials
from tests.fuzz.kinds import KINDS, QUICK

_EACH = 12


def test_random_inputs_get_one_sentence(tmp_path: pathlib.Path) -> None:
    found = trials.trials(QUICK, 0, tmp_path)
    assert [next(found) for _ in range(_EACH * len(QUICK))] == [None] * _EACH * len(QUICK)


def test_a_traceback_and_a_hang_are_found(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(place: pathlib.Path, draw: object) -> None:
        while True:
            pass

    monkeypatch.setattr(trials, "_PROCESSOR_SECONDS", 1)

    def fail(place: pathlib.Path, draw: object) -> None:
        raise KeyError("x")

    for read, error in ((fail, "KeyError"), (wait, "TimeoutError")):
        monkeypatch.setitem(KINDS, "set", trials.dataclasses.replace(KINDS["set"], read=read))
        fault = next(trials.trials(["set"], 0, tmp_path / error))
        assert fault is not None and fault.error.startswith(error)
