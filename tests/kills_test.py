"""One trial of `python -m tests.kills`, which makes many; a difference is found."""

import dataclasses
import itertools
import pathlib

import pytest

from tests.kills.commands import COMMANDS, prepare
from tests.kills.trials import reference, trial


@pytest.mark.slow
def test_a_killed_extraction_comes_out_the_same(tmp_path: pathlib.Path) -> None:
    prepare(tmp_path)
    command, counted = COMMANDS["extract_features"], itertools.count()
    expected = reference(command, tmp_path)
    outcome = trial(command, expected, tmp_path, "0/0")
    assert outcome.killed_after and outcome.faults == []
    never_equal = dataclasses.replace(command, facts=lambda _: {"features.json": next(counted)})
    (tmp_path / "trial-0-1" / "more").mkdir(parents=True)
    outcome = trial(never_equal, expected, tmp_path, "0/1")
    assert "features.json differs at the end" in outcome.faults and "left: more" in outcome.faults
