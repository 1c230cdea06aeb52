"""The command names the differences between runs, writes a page, and refuses bad input in one sentence."""

import json
import os
import pathlib
import subprocess
import sys

import pytest


def compare(*arguments: str, folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    output = f"--output={folder / 'comparison.html'}"
    return subprocess.run(
        [sys.executable, "-m", "experiments.compare_runs", *arguments, output],
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.slow
def test_runs_are_named_without_a_flag(tmp_path: pathlib.Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"step": 5, "loss/relative_to_ln_K": 1.0}) + "\n")
    ran = compare(*(str(tmp_path / f"{name}.jsonl") for name in ("one", "two", "one")), folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    page = (tmp_path / "comparison.html").read_text()
    assert page.count("one.jsonl") == 1
    assert page.count("two.jsonl") == 1


@pytest.mark.slow
def test_flags_may_follow_words_and_have_a_space(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one.jsonl").write_text(json.dumps({"step": 5, "loss/relative_to_ln_K": 1.0}) + "\n")
    ran = subprocess.run(
        [sys.executable, "-m", "experiments.compare_runs", "~/one.jsonl", "--output", f"{tmp_path}/page.html"],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert ran.returncode == 0, ran.stderr
    assert "one.jsonl" in (tmp_path / "page.html").read_text()


def test_a_missing_run_gets_one_sentence(tmp_path: pathlib.Path) -> None:
    ran = compare(str(tmp_path / "nowhere"), folder=tmp_path)
    assert ran.returncode == 2
    assert "there is no file or directory" in ran.stderr.splitlines()[-1]
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "comparison.html").exists()
