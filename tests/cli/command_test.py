"""Answers of a command to wrong, missing and unknown flags, and to `--help`."""

import json
import pathlib
import subprocess
import sys
from typing import NamedTuple

import pytest

from seer_tf.cli.command import answer_errors
from seer_tf.cli.entry import COMMANDS
from seer_tf.errors import shorten

_TIMEOUT_SECONDS = 300

# Runs a command once for each list of arguments. All runs share one process, so that TensorFlow is imported once.
_EACH = """
import contextlib, io, json, sys
from absl import flags
sys.path.insert(0, "")
name, *lines = json.loads(sys.argv[1])
answers = []
for line in lines:
    flags.FLAGS.unparse_flags()
    sys.argv, status = [name, *line], 0
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            if name == "toy":
                import toy
                toy.command.run(toy.main, words=toy.WORDS)
            else:
                from seer_tf.cli import entry
                entry.start(name)
        except SystemExit as stopped:
            status = stopped.code
    answers.append((status, out.getvalue(), err.getvalue()))
print(json.dumps(answers))
"""

_TOY = '''"""Copies images.

toy --data=folder:photos --output=copies
"""

from absl import flags

from seer_tf.cli import command

DRY = flags.DEFINE_bool("dry_run", False, "Says only what it would do.")
DATA = command.required(flags.DEFINE_string("data", None, "Images, e.g. folder:DIR."))
OUTPUT = command.required(flags.DEFINE_string("output", None, "Directory to write."), unless=DRY)
KIND = flags.DEFINE_enum("kind", "plain", ["plain", "fancy"], "How.")
NUMBER = flags.DEFINE_integer("number", 3, "Copies of each.", lower_bound=1)
RATE = flags.DEFINE_float("rate", None, "Images in a second. [as many as it can]", lower_bound=0.5)
TAG = flags.DEFINE_multi_string("tag", [], "Name of a tag. Repeatable.")
WORDS = TAG


def main() -> None:
    """Runs the command."""
    print(DATA.value, OUTPUT.value, KIND.value, NUMBER.value, RATE.value, TAG.value)
'''


class _Answer(NamedTuple):
    status: int
    out: str
    err: str


def _answers(name: str, *lines: list[str], folder: pathlib.Path) -> list[_Answer]:
    done = subprocess.run(
        [sys.executable, "-c", _EACH, json.dumps([name, *lines])],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return [_Answer(*answer) for answer in json.loads(done.stdout)]


def test_flags_that_are_wrong_missing_or_unknown_get_one_sentence(tmp_path: pathlib.Path) -> None:
    (tmp_path / "toy.py").write_text(_TOY)
    whole = ["--data=folder:x", "--output=y"]
    sentences = {
        (): "--data and --output are missing; --help describes them",
        ("--data=folder:x",): "--output is missing: Directory to write",
        ("--data=folder:x", "--output="): "--output is missing: Directory to write",
        ("--dry_run",): "--data is missing: Images, e.g. folder:DIR",
        (*whole, "--nubmer=3"): "there is no flag --nubmer: did you mean --number? --help lists the flags",
        (*whole, "--dry-run"): "there is no flag --dry-run: did you mean --dry_run? --help lists the flags",
        (*whole, "--zzzzzz"): "there is no flag --zzzzzz; --help lists the flags",
        (*whole, "--number=many"): "--number=many must be a positive integer",
        (*whole, f"--number={'9' * 400}"): "--number=(a number of about 400 digits) must be at most 4,294,967,296",
        (*whole, "--number=0"): "--number=0 must be a positive integer",
        (*whole, "--number"): "--number needs a value: write --number=…",
        ("--data", "--output=y"): "--data needs a value: write --data=…",
        ("--output=y", "--data"): "--data needs a value: write --data=…",
        ("--data=x", "--output", "--dry_run"): "--output needs a value: write --output=…",
        (*whole, "--rate=0"): "--rate=0 must be a number >= 0.5",
        (*whole, "--rate=nan"): "--rate=nan must be a finite number",
        (*whole, "--rate=inf"): "--rate=inf must be a finite number",
        (*whole, "--dry_run=perhaps"): "--dry_run=perhaps must be true or false",
        (*whole, "--nodry_run=1"): "--nodry_run=1 does not take an argument",
        (*whole, "--kind=fancyy"): "there is no --kind 'fancyy': did you mean 'fancy'? the valid ones are plain, fancy",
    }
    answers = _answers("toy", *map(list, sentences), folder=tmp_path)
    assert [answer.err for answer in answers] == [f"error: {sentence}\n" for sentence in sentences.values()]
    assert {answer.status for answer in answers} == {2}
    assert {answer.out for answer in answers} == {""}


def test_a_path_that_is_too_long_for_the_system_gets_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    path = pathlib.Path("x" * 300)
    with pytest.raises(SystemExit, match="^2$"):
        answer_errors(path.touch)
    sentence = "File name too long; nothing half-written is left; name a shorter path"
    assert capsys.readouterr().err == f"error: {shorten(path)}: {sentence}\n"


def test_a_command_with_right_flags_runs(tmp_path: pathlib.Path) -> None:
    (tmp_path / "toy.py").write_text(_TOY)
    answers = _answers(
        "toy",
        ["one", "--data", "folder:~/x", "--output=~/y", "two"],
        ["--dry_run", "--data=--x", "--rate=2", "--kind=fancy", "--", "--tag", "--rate"],
        ["--data=x", "--help"],
        folder=tmp_path,
    )
    home = str(pathlib.Path.home())
    assert answers[0] == (0, f"folder:{home}/x {home}/y plain 3 None ['one', 'two']\n", "")
    assert answers[1] == (0, "--x None fancy 3 2.0 ['--tag', '--rate']\n", "")
    status, text, err = answers[2]
    assert (status, err) == (0, "")
    assert text.startswith("Copies images.\n")
    assert "\nusage: toy [TAG …] --data=DATA --output=OUTPUT [flags]\n" in text
    required, optional = text.partition("\nRequired:\n")[2].split("\nOptional:\n")
    assert [line.split()[0] for line in required.splitlines() if line] == ["--data", "--output"]
    assert optional.splitlines()[:2] == [
        "  --dry_run             Says only what it would do.",
        "  --kind                How. One of plain, fancy. [plain]",
    ]
    assert "  --tag                 Name of a tag. Repeatable.\n" in optional


def test_arguments_without_a_flag_get_an_error_that_names_the_flags(tmp_path: pathlib.Path) -> None:
    answers = _answers(
        "prepare_shards",
        ["my photos", "SHARDS"],
        ["tar:a.tar", "SHARDS"],
        ["--data=folder:x", "SHARDS"],
        ["PHOTOS"],
        ["--data=folder:x", "--output=y", "PHOTOS"],
        ["--data=folder:x", "--output=y", "--seed=-1"],
        folder=tmp_path,
    )
    assert [answer.err.removeprefix("error: prepare_shards takes flags only: ") for answer in answers] == [
        "write --data='folder:my photos' --output=SHARDS\n",
        "write --data=tar:a.tar --output=SHARDS\n",
        "write --output=SHARDS\n",
        "'PHOTOS' is given without a flag; give --data=… and --output=…, see --help\n",
        "'PHOTOS' is given without a flag; see --help\n",
        "error: --seed=-1 must be an integer in the range [0, 4294967295]\n",
    ]
    assert {answer.status for answer in answers} == {2}


def test_errors_name_the_nearest_recipe_and_flags_that_do_not_fit_the_recipe(tmp_path: pathlib.Path) -> None:
    answers = _answers(
        "pretrain",
        ["--recipe=auot", "--run_dir=x"],
        ["--recipe=demo", "--minutes=3", "--run_dir=x"],
        ["--recipe=demo", "--device_memory_gib=3", "--run_dir=x"],
        ["--recipe=demo"],
        ["--recipe=demo", "--show_config"],
        ["PHOTOS", "RUN"],
        folder=tmp_path,
    )
    offered, minutes, memory, missing, shown, words = answers
    assert offered.err.startswith("error: there is no --recipe 'auot': did you mean 'auto'? the valid ones are auto, ")
    assert minutes.err.startswith("error: --minutes works only with --recipe=auto; ")
    assert memory.err.startswith("error: --device_memory_gib works only with --recipe=auto; ")
    assert missing.err == (
        "error: --run_dir is missing: Directory of a new run or one to continue; not needed with --show_config\n"
    )
    assert words.err == (
        "error: pretrain takes flags only: 'PHOTOS' is given without a flag; "
        "give --recipe=… and --run_dir=…, see --help\n"
    )
    assert [answer.status for answer in answers] == [2, 2, 2, 2, 0, 2]
    assert (shown.err, "head.num_prototypes=" in shown.out) == ("", True)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_plan_run_refuses_recipe_auto_and_names_the_command_to_use(tmp_path: pathlib.Path) -> None:
    (answer,) = _answers("plan_run", ["--recipe=auto"], folder=tmp_path)
    assert answer.status == 2
    assert "print the config by pretrain --recipe=auto --data=… --show_config" in answer.err


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_answers_flags_in_the_same_way(name: str, tmp_path: pathlib.Path) -> None:
    """The command is called with `--help`, with a misspelt flag, and without arguments."""
    nothing = [] if name != "demo" else ["--help"]  # without arguments, the demo would run in full
    described, misspelt, bare = _answers(name, ["--help"], ["--hepl"], nothing, folder=tmp_path)
    assert (described.status, described.err) == (0, "")
    assert f"\nusage: {name} " in described.out
    assert misspelt == (2, "", "error: there is no flag --hepl: did you mean --help? --help lists the flags\n")
    needed = described.out.partition("\nRequired:\n")[2].partition("\n\n")[0]
    names = [line.split()[0] for line in needed.splitlines() if line.startswith("  --")]
    if names:
        assert (bare.status, bare.out, bare.err.count("\n")) == (2, "", 1)
        assert all(flag in bare.err for flag in names)
