"""The set-up of script/demo and script/test, with a fake interpreter that only records what it should install."""

import pathlib
import shutil
import subprocess

import pytest

from tests.places import ROOT

# The fake interpreter answers `-c ...` (is this Python supported?), `-m venv DIR` and `-m pip ... PACKAGE`. It prints
# all other arguments.
_INTERPRETER = """#!/usr/bin/env bash
notes="{notes}"
case "$*" in
  -c*) exit {unsupported} ;;
  "-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo venv >>"$notes" ;;
  "-m pip"*) sleep 0.2; echo "${{!#}}" >>"$notes"; [[ ! -e "{notes}.broken" ]] ;;
  *) echo "$(pwd): $*" ;;
esac
"""


class _Checkout:
    """A copy of the files that the set-up needs, in a folder with a space in its name."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.root = folder / "a checkout"
        self.notes = folder / "notes"
        self.interpreter = folder / "python3.12"
        self.root.mkdir()
        shutil.copytree(ROOT / "script", self.root / "script")
        for name in ("pyproject.toml", "setup.cfg", "constraints.txt"):
            shutil.copy(ROOT / name, self.root)
        self.make_interpreter()

    def make_interpreter(self, unsupported: int = 0) -> None:
        self.interpreter.write_text(_INTERPRETER.format(notes=self.notes, unsupported=unsupported))
        self.interpreter.chmod(0o755)

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.root / "script" / script, *arguments],
            cwd=self.notes.parent,
            env={"PATH": "/usr/bin:/bin", "PYTHON": str(self.interpreter)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def demo(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("demo", *arguments)

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(script, *arguments)
        out, err = process.communicate(timeout=30)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def work(self) -> list[str]:
        """Returns what the interpreter recorded since the last call."""
        notes = self.notes.read_text().splitlines() if self.notes.exists() else []
        self.notes.unlink(missing_ok=True)
        return notes


@pytest.fixture
def checkout(tmp_path: pathlib.Path) -> _Checkout:
    return _Checkout(tmp_path)


def test_the_environment_is_made_once(checkout: _Checkout) -> None:
    first = checkout.demo("my images", "--flag")
    assert first.returncode == 0, first.stderr
    assert first.stdout == f"{checkout.notes.parent}: {checkout.root}/experiments/demo.py my images --flag\n"
    assert checkout.work() == ["venv", "."]
    assert checkout.demo().returncode == 0
    assert checkout.work() == []


def test_the_tests_add_their_packages_to_the_environment_of_the_demo(checkout: _Checkout) -> None:
    checkout.demo()
    assert checkout.work() == ["venv", "."]
    tested = checkout.run("test", "tests/swav")
    assert tested.returncode == 0, tested.stderr
    assert tested.stdout.endswith(f"{checkout.root}: -m pytest --numprocesses=2 --dist=worksteal tests/swav\n")
    assert checkout.work() == [".[test]"]
    for script in ("demo", "test"):
        assert checkout.run(script).returncode == 0
    assert checkout.work() == []


def test_the_environment_is_made_anew_after_a_failed_installation_of_test_packages(checkout: _Checkout) -> None:
    checkout.demo()
    broken = checkout.notes.with_name("notes.broken")
    broken.touch()
    assert checkout.run("test").returncode == 1
    broken.unlink()
    checkout.work()
    assert checkout.demo().returncode == 0
    assert checkout.work() == ["venv", "."]


def test_the_demo_installs_changed_pins_and_the_tests_then_add_theirs(checkout: _Checkout) -> None:
    checkout.run("test")
    (checkout.root / "constraints.txt").write_text("changed")
    checkout.work()
    for script in ("demo", "test", "demo"):
        assert checkout.run(script).returncode == 0
    assert checkout.work() == [".", ".[test]"]


@pytest.mark.parametrize("name", ["setup.cfg", "constraints.txt"])
def test_changed_pins_are_installed_into_the_environment(checkout: _Checkout, name: str) -> None:
    checkout.demo()
    checkout.work()
    (checkout.root / name).write_text("changed")
    assert checkout.demo().returncode == 0
    assert checkout.work() == ["."]


def test_an_environment_made_by_hand_is_kept(checkout: _Checkout) -> None:
    checkout.demo()
    (checkout.root / ".venv/seer_tf.stamp").unlink()
    (checkout.root / ".venv/mine").touch()
    checkout.work()
    checkout.demo()
    assert (checkout.root / ".venv/mine").exists()
    assert checkout.work() == ["."]


def test_a_failed_set_up_starts_anew(checkout: _Checkout) -> None:
    broken = checkout.notes.with_name("notes.broken")
    broken.touch()
    failed = checkout.demo()
    assert failed.returncode == 1
    assert "error: pip could not install" in failed.stderr
    broken.unlink()
    checkout.work()
    assert checkout.demo().returncode == 0
    assert checkout.work() == ["venv", "."]


def test_a_moved_checkout_is_set_up_anew(checkout: _Checkout) -> None:
    checkout.demo()
    checkout.work()
    checkout.root = checkout.root.rename(checkout.root.with_name("elsewhere"))
    assert checkout.demo().returncode == 0
    assert checkout.work() == ["venv", "."]


@pytest.mark.skipif(not shutil.which("flock"), reason="set-ups wait for each other only if flock exists")
def test_two_first_runs_set_up_once(checkout: _Checkout) -> None:
    processes = [checkout.start("demo") for _ in range(2)]
    for process in processes:
        process.communicate(timeout=30)
    assert [process.returncode for process in processes] == [0, 0]
    assert checkout.work() == ["venv", "."]


def test_another_version_of_python_gets_one_sentence(checkout: _Checkout) -> None:
    checkout.make_interpreter(unsupported=1)
    refused = checkout.demo()
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "is not a Python 3.11, 3.12 or 3.13" in refused.stderr
    assert not (checkout.root / ".venv").exists()
