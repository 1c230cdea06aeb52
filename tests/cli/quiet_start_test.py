"""Commands start without TensorFlow's log lines. If the import of TensorFlow fails, the user sees its output."""

import os
import pathlib
import re
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

from seer_tf.cli import entry, quiet_start
from seer_tf.cli.entry import COMMANDS
from tests.places import ROOT

_TIMEOUT_SECONDS = 600
_IMPORT = (
    f"import runpy; runpy.run_path({quiet_start.__file__!r})['begin'](); import tensorflow; print(tensorflow.here)"
)
_REMARK = "I0000 00:00:1 port.cc:153] oneDNN custom operations are on."
#: A log line of TensorFlow or absl, from C++ or Python.
_FOREIGN = re.compile(r"^([IWEF]\d{4} |WARNING: All log|WARNING:(absl|tensorflow)|\d{4}-\d\d-\d\d .*: [IWEF] )", re.M)


def _import(folder: pathlib.Path, code: str) -> subprocess.CompletedProcess[str]:
    """Imports a fake package `tensorflow` as commands do. The package logs a remark, then runs the code."""
    (folder / "tensorflow").mkdir()
    (folder / "tensorflow" / "__init__.py").write_text(f"import os\nos.write(2, b'{_REMARK}\\n')\n{code}\n")
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"}
    command = [sys.executable, "-c", _IMPORT]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_remarks_of_an_import_that_succeeds_are_not_shown(tmp_path: pathlib.Path) -> None:
    done = _import(tmp_path, "here = 'it is imported'")
    assert (done.returncode, done.stdout, done.stderr) == (0, "it is imported\n", "")


def test_the_whole_output_is_shown_if_the_import_fails(tmp_path: pathlib.Path) -> None:
    done = _import(
        tmp_path, "os.write(2, b'E0000 no libfoo' + b'o' * 100_000 + b'\\n'); raise ImportError('no libfoo')"
    )
    assert done.returncode == 1
    remark, error, *_, exception = done.stderr.splitlines()
    assert (remark, len(error), exception) == (_REMARK, 100_015, "ImportError: no libfoo")


def test_the_output_of_a_library_that_aborts_the_process_is_shown(tmp_path: pathlib.Path) -> None:
    """TensorFlow ends a process in this way if the processor has no AVX."""
    done = _import(tmp_path, "os.write(2, b'F0000 no AVX\\n'); os.abort()")
    assert done.returncode < 0
    assert done.stderr.splitlines() == [_REMARK, "F0000 no AVX"]


def test_an_interrupted_import_ends_with_one_line(tmp_path: pathlib.Path) -> None:
    (tmp_path / "tensorflow.py").write_text(
        f"import os, signal\nos.write(2, b'{_REMARK}\\n')\nos.kill(os.getpid(), signal.SIGINT)"
    )
    root = pathlib.Path(quiet_start.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "seer_tf.cli", "pretrain", "--help"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{root}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (130, "") and done.stderr.startswith("SIGINT: ")
    assert _REMARK not in done.stderr and "Traceback" not in done.stderr


def test_without_standard_error_the_import_works(tmp_path: pathlib.Path) -> None:
    (tmp_path / "tensorflow.py").write_text("here = 'it is imported'")
    command = ["bash", "-c", 'exec "$@" 2>&-', "bash", sys.executable, "-c", _IMPORT]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "it is imported\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_that_need_no_gpu_see_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    monkeypatch.setattr(entry.importlib, "import_module", lambda _: types.SimpleNamespace(main=None))
    seen = []
    monkeypatch.setattr(entry.command, "run", lambda main, words: seen.append(os.environ["CUDA_VISIBLE_DEVICES"]))
    entry.start(name)
    hidden = name in entry.WITHOUT_GPU
    assert seen == ["-1" if hidden else "0"]
    # TensorFlow logs an error if the GPU is hidden.
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == ("3" if hidden else "2")


@pytest.mark.parametrize("own", [None, "false"])
def test_gpu_memory_grows_on_demand_unless_the_user_says_otherwise(own: str | None) -> None:
    name = "TF_FORCE_GPU_ALLOW_GROWTH"
    environment = {key: value for key, value in os.environ.items() if key != name} | ({name: own} if own else {})
    command = [sys.executable, "-c", f"import os, seer_tf; print(os.environ['{name}'])"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == (own or "true")


def test_a_log_level_from_the_user_is_kept(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    show = "here = os.environ['TF_CPP_MIN_LOG_LEVEL']"
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    (tmp_path / "own").mkdir()
    assert _import(tmp_path, show).stdout in ("2\n", "3\n")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    assert _import(tmp_path / "own", show).stdout == "0\n"


def _run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    command = [sys.executable, "-m", "seer_tf.cli", name, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "pretrain")) for name in COMMANDS]
)
def test_help_prints_only_the_help(name: str) -> None:
    done = _run(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: {name}" in done.stdout


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Photos in two classes, some with an EXIF orientation."""
    root = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(64):
        (root / "photos" / f"class{number % 2}").mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8
        pixels = random.integers(0, 256, (40, 48, 3), np.uint8)
        Image.fromarray(pixels).save(root / "photos" / f"class{number % 2}" / f"{number}.jpg", exif=exif)
    return root


@pytest.mark.slow
def test_short_commands_print_nothing_of_tensorflow(photos: pathlib.Path) -> None:
    """The commands start worker processes, use several devices, and verify an export in a fresh process."""
    data, run = f"folder:{photos}/photos", f"{photos}/run"
    training = ["--recipe=debug_tiny", f"--data={data}", "--set=run.num_steps=4", "--set=data.global_batch_size=16"]
    pixels = ["--pixels=histogram", f"--train_data={data}", "--test_data=builtin:test"]
    commands = [
        ["plan_run", "--recipe=demo"],
        ["prepare_shards", f"--data={data}", f"--output={photos}/shards", "--shard_mb=0.005", "--jobs=2"],
        ["pretrain", *training, f"--run_dir={run}"],
        ["pretrain", *training, f"--run_dir={photos}/mirrored", "--num_devices=2"],
        ["extract_features", f"--model={run}", f"--data={data}", f"--output={photos}/features"],
        ["retrieval", f"--train_data=features:{photos}/features"],
        ["export", f"--model={run}", f"--output={photos}/model", "--formats=saved_model,keras,litert_float32"],
        ["browse_clusters", f"--model={run}", f"--data={data}", f"--output={photos}/clusters"],
        ["compare_runs", run, f"--output={photos}/comparison.html"],
        ["report", run, f"--output={photos}/report.html"],
        ["demo", f"{photos}/photos", f"--output={photos}/demo", "--recipe=debug_tiny"],
    ]
    for command in commands:
        done = _run(*command)
        assert done.returncode == 0, done.stderr
        assert not _FOREIGN.search(done.stderr), (command, done.stderr)
    refused = _run("knn", *pixels)
    assert refused.returncode == 2 and refused.stderr.splitlines()[-1].startswith("error: "), refused.stderr
    assert not _FOREIGN.search(refused.stderr) and "Traceback" not in refused.stderr, refused.stderr
