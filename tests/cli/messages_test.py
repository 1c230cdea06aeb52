"""Messages: the library names fields and arguments, and a command names flags."""

import io
import logging
import re

import pytest
from absl import flags

from seer_tf.cli import command
from seer_tf.cli.messages import FlagsInMessages, with_flags
from tests.places import ROOT


@pytest.fixture(autouse=True)
def flags_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    values = flags.FlagValues()
    for name in ("run_dir", "init_from", "xla"):
        flags.DEFINE_string(name, None, "Any.", flag_values=values)
    monkeypatch.setattr(flags, "FLAGS", values)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("lower it, e.g. `head.num_prototypes=100`", "lower it, e.g. --set head.num_prototypes=100"),
        ("lower `schedule.peak_learning_rate`", "lower schedule.peak_learning_rate"),
        ("give another `run_dir`", "give another --run_dir"),
        ("go on with `run.init_from=a b/RUN`", "go on with --init_from=a b/RUN"),
        ("leave out `run.xla`", "leave out --xla"),
        ("give `class_names`", "give class_names"),
        ("`run.reset=schedule`", "--set run.reset=schedule"),
        ("data.global_batch_size=256 is more than 10", "data.global_batch_size=256 is more than 10"),
    ],
)
def test_names_in_backquotes_become_flags(sentence: str, expected: str) -> None:
    assert with_flags(sentence) == expected


def test_control_characters_in_log_messages_are_escaped() -> None:
    record = logging.makeLogRecord({"msg": "%s: 50 %% of größe\nnext line", "args": ("\x1b[2J caf\udce9",)})
    assert FlagsInMessages().filter(record)
    assert record.getMessage() == "\\x1b[2J caf\\udce9: 50 % of größe\nnext line"


def test_no_message_below_the_commands_names_a_flag() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted((ROOT / "seer_tf").rglob("*.py"))
        if "cli" not in path.parts
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if re.search(r"(?<![\w(-])--[a-z_]{2,}\b(?!:)", line)  # a name before a colon is a CSS variable
    ]
    assert found == []


def test_what_is_printed_does_not_command_a_terminal() -> None:
    written = io.StringIO()
    print("class \x1b[2J caf\udce9:\t3\nnext line", file=command._HarmlessOutput(written))
    assert written.getvalue() == "class \\x1b[2J caf\\udce9:\t3\nnext line\n"
