"""The Dockerfiles as text: a linter passes, all copied files exist, and the image installs and starts this package.

No image is built.
"""

import configparser
import json
import pathlib
import re
import subprocess
import sys

import pytest

from seer_tf.cli import entry
from tests.places import ROOT

Instructions = list[tuple[str, str]]


def _setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg")
    return parser


_FILES = ("Dockerfile", "Dockerfile.gpu")
_LINTER = pathlib.Path(sys.executable).with_name("hadolint")


@pytest.mark.skipif(not _LINTER.exists(), reason="the environment has no hadolint; script/test installs it")
@pytest.mark.parametrize("name", _FILES)
def test_the_linter_finds_nothing(name: str) -> None:
    done = subprocess.run([_LINTER, ROOT / name], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.fixture(params=_FILES)
def instructions(request: pytest.FixtureRequest) -> Instructions:
    """Instructions with their arguments, in order."""
    text = re.sub(r"^#.*\n", "", (ROOT / request.param).read_text("utf-8"), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines if line.strip())]


def _arguments(instructions: Instructions, name: str) -> list[str]:
    return [arguments for found, arguments in instructions if found == name]


def test_the_base_is_pinned_to_a_python_that_is_supported(instructions: Instructions) -> None:
    (base,) = _arguments(instructions, "FROM")
    match = re.fullmatch(r"python:(3\.\d+)\.\d+-slim-\w+", base)
    assert match and instructions[0] == ("FROM", base)
    assert f"Programming Language :: Python :: {match[1]}" in _setup()["metadata"]["classifiers"]


def test_everything_that_is_copied_exists_and_is_enough_to_build_the_package(instructions: Instructions) -> None:
    sources = {source for copied in _arguments(instructions, "COPY") for source in copied.split()[:-1]}
    assert [source for source in sources if not (ROOT / source).exists()] == []
    metadata = _setup()["metadata"]
    named = {metadata["long_description"].removeprefix("file: "), metadata["license_files"]}
    assert named | {"pyproject.toml", "setup.cfg", "seer_tf"} <= sources


def test_it_installs_this_package_with_pins_and_extras_that_exist(instructions: Instructions) -> None:
    (command,) = _arguments(instructions, "RUN")
    match = re.fullmatch(r"pip install --no-cache-dir --constraint=(\S+) '?\.(?:\[(.*)\])?'?", command)
    assert match and (ROOT / match[1]).exists()
    assert match[1] in " ".join(_arguments(instructions, "COPY")).split()
    assert set(filter(None, (match[2] or "").split(","))) <= set(_setup()["options.extras_require"])


def test_the_file_for_gpus_installs_the_libraries_of_gpus() -> None:
    assert "'.[gpu]'" in (ROOT / "Dockerfile.gpu").read_text("utf-8")
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in (ROOT / "Dockerfile.gpu").read_text("utf-8")


def test_the_entry_point_is_the_command_of_the_package(instructions: Instructions) -> None:
    (command,) = _arguments(instructions, "ENTRYPOINT")
    assert instructions[-1] == ("ENTRYPOINT", command)
    (script,) = json.loads(command)  # without a shell, so signals reach the command
    assert f"{script} = {entry.__name__}:{entry.main.__name__}" in _setup()["options.entry_points"]["console_scripts"]
