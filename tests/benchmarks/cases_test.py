"""`python -m benchmarks`: each benchmark has cases with unique titles and runs. Wrong input gets one sentence."""

import importlib
import json
import pathlib
import re
import subprocess
import sys

import pytest

from benchmarks.__main__ import run
from benchmarks.harness.comparison import Case
from benchmarks.harness.growth import Growth, measure
from benchmarks.harness.settings import Settings
from benchmarks.suite import scaling
from seer_tf.errors import InputError

#: For each benchmark, the title of a quick case.
QUICK = {
    "backbone": "^forward, .* bfloat16",
    "train_step": "^SwAV step, .* 4 x 16 px",
    "input_pipeline": "500 x 375, host's part",
    "sinkhorn": "iterations$",
    "scaling": "^k-NN",
    "checkpoint": "^writing",
    "evaluation": "nearest",
    "exported": "inference",
    "gpu": "^a step",
    "gpu_counts": "float16",
    "data_at_scale": "5 ms",
}


def _cases(name: str, settings: Settings) -> list[Case]:
    return list(importlib.import_module(f"benchmarks.suite.{name}").cases(settings))


@pytest.mark.parametrize("quick", [True, False])
def test_titles_are_unique(quick: bool) -> None:
    titles = [case.title for name in QUICK for case in _cases(name, Settings(quick=quick))]
    assert len(set(titles)) == len(titles)


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_a_quick_case_runs(name: str) -> None:
    (case,) = [case for case in _cases(name, Settings(quick=True)) if re.search(QUICK[name], case.title)]
    result = case.run(case.title, 1)
    assert result.table().startswith(f"### {case.title}\n\n| ")
    values = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert values["title"] == case.title
    if name == "backbone":
        assert list(values["seconds"]) == ["seer_tf", "seer_tf float32", "PyTorch eager"]


def test_a_run_writes_every_time_with_machine_and_versions(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.json"
    run(["sinkhorn"], Settings(quick=True), 2, "iterations$", output)
    (result,) = json.loads(output.read_text())
    assert result["benchmark"] == "sinkhorn"
    assert [len(times) for times in result["seconds"].values()] == [2, 2]
    assert {"processor", "cores", "load", "busy_cores", "tensorflow", "torch"} <= result["machine"].keys()
    assert "| PyTorch eager |" in capsys.readouterr().out


def test_growth_is_drawn_into_a_picture_beside_the_json(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cases(_: Settings) -> list[Case]:
        def grown(title: str, rounds: int) -> Growth:
            return measure(title, "n", [1, 10], lambda n: {"n, m": float(n)}, rounds=rounds)

        return [Case("one", grown), Case("other", grown)]

    monkeypatch.setattr(scaling, "cases", cases)
    run(["scaling"], Settings(), 1, "", tmp_path / "out.json")
    results = json.loads((tmp_path / "out.json").read_text())
    assert [result["exponents"]["n, m"] for result in results] == pytest.approx([1, 1])
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_a_pattern_that_matches_no_title_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match="--only=nothing matches no title in sinkhorn"):
        run(["sinkhorn"], Settings(quick=True), 1, "nothing", tmp_path / "out.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [("backbones", ".*backbones.*backbone"), ("--round=3", ".*'round'"), ("--rounds=x", ".*=x")],
)
def test_an_unknown_name_or_flag_gets_one_sentence_and_exit_status_2(
    argument: str, sentence: str, tmp_path: pathlib.Path
) -> None:
    command = [sys.executable, "-m", "benchmarks", argument, f"--output={tmp_path / 'out.json'}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.match(f"error: {sentence}", done.stderr.splitlines()[-1])
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
