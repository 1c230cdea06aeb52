"""The frame of every command: it reads the flags, runs the command, and reports an error in one sentence."""

import contextlib
import difflib
import io
import itertools
import math
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from logging import Formatter, LogRecord, getLogger
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, TextIO, TypeVar, cast

from absl import flags, logging

from seer_tf import environment
from seer_tf.cli import usage
from seer_tf.cli.messages import FlagsInMessages, with_flags
from seer_tf.errors import InputError, LostWorkerError, printable, printable_lines, shorten
from seer_tf.files.system_errors import system_errors_named
from seer_tf.stop_signals import Interrupted, StopSignals

TRY_AGAIN = os.EX_TEMPFAIL  # exit status 75: the command is not finished, and the same command continues
_INFO, _WARNING = 20, 30  # levels of the standard library; TensorFlow's remarks at _INFO are for its developers
_HELP = ("--help", "-help", "-h", "-?")
_LARGEST_INTEGER = 2**32  # larger than any seed
_NEAR = 0.5  # names with a lower similarity are not suggested
_ANSWER = "the command ends; a second signal ends it at once"

_T = TypeVar("_T")
_required: dict[str, str | None] = {}


def required(
    flag: flags.FlagHolder[_T | None], *, unless: flags.FlagHolder[bool] | None = None
) -> flags.FlagHolder[_T]:
    """Marks a flag as one that must be given.

    Args:
        flag: Flag without a default.
        unless: Switch that makes the flag unnecessary; the flag's value may then be None.

    Returns:
        The flag, whose value is not None.
    """
    _required[flag.name] = None if unless is None else unless.name
    return cast(flags.FlagHolder[_T], flag)


def optional(flag: flags.FlagHolder) -> None:
    """Makes a required flag optional for a command that does not need it; the flag's value may then be None."""
    del _required[flag.name]


@contextlib.contextmanager
def signals_answered() -> Iterator[None]:
    """Ends the process at the first Ctrl-C, SIGTERM or SIGHUP, with a message at once and after closing open files.

    The exit status is 130, 143 or 129. Training runs answer these signals in their own way.
    """
    try:
        with StopSignals(_ANSWER, raises=True):
            yield
    except Interrupted as interrupted:
        sys.exit(128 + interrupted.number)


def run(main: Callable[[], None], *, words: flags.FlagHolder | None = None) -> None:
    """Reads the flags and calls `main`; with `--help` it prints a description of the flags instead.

    A `~/` at the beginning of a path is replaced by the home directory, because shells do not expand it after `=` and
    `:`.

    An `InputError` or a wrong flag becomes one line on standard error and exit status 2, a `LostWorkerError` one line
    and `TRY_AGAIN`. All other errors keep their traceback, because they are faults of the program.

    Args:
        main: Function of the module that defines the flags.
        words: Flag that receives words given without a flag: one word, or any number if the flag is repeatable.
    """
    _set_up_logs()
    module = sys.modules[main.__module__]
    if not set(_HELP).isdisjoint(sys.argv):
        print(usage.text(_name(module), module, _required, words))
        return

    def with_flags_read() -> None:
        _read_flags(module, words)
        environment.check_gpus()
        main()

    answer_errors(with_flags_read)


def answer_errors(work: Callable[[], None]) -> None:
    """Calls a function; ends the process with one line on standard error for the errors that `run` names."""
    try:
        with system_errors_named():
            work()
    except InputError as error:
        _stop(str(error), status=2)
    except LostWorkerError as error:
        _say(str(error))
        os._exit(TRY_AGAIN)  # an ordinary exit would wait up to a minute for TensorFlow's pending operations


def _read_flags(module: ModuleType, words: flags.FlagHolder | None) -> None:
    """Parses the command line.

    Raises:
        InputError: A flag is unknown, is missing, or has a wrong value or none; or a word is given without a flag.
    """
    own = {flag.name: flag for flag in flags.FLAGS.get_key_flags_for_module(module)}
    given = _parsed(own)
    for flag in own.values():
        if isinstance(flag.value, float) and not math.isfinite(flag.value):
            raise InputError(f"--{flag.name}={flag.value} must be a finite number")
        if isinstance(flag.value, int) and abs(flag.value) > _LARGEST_INTEGER:
            raise InputError(f"--{flag.name}={shorten(flag.value)} must be at most {_LARGEST_INTEGER:,}")
    missing = [flag for name, flag in own.items() if _is_missing(name)]
    _take_words(given, words, missing, _name(module))
    missing = [flag for flag in missing if _is_missing(flag.name)]
    if len(missing) == 1:
        raise InputError(f"--{missing[0].name} is missing: {missing[0].help.rstrip('.')}")
    if missing:
        *most, last = (f"--{flag.name}" for flag in missing)
        raise InputError(f"{', '.join(most)} and {last} are missing; --help describes them")


def _parsed(own: Iterable[str]) -> list[str]:
    """Parses the flags, and returns the words that are given without a flag.

    Args:
        own: Names of the flags of this command.

    Raises:
        InputError: A flag is unknown, or has a wrong value or none.
    """
    flags.FLAGS.set_gnu_getopt(True)  # flags may follow words
    arguments = [re.sub(r"(?<![^=:])~(?=/)", os.path.expanduser("~"), word) for word in sys.argv]
    _check_values(arguments)
    try:
        return flags.FLAGS(arguments)[1:]
    except flags.UnrecognizedFlagError as error:
        raise _unknown(error.flagname, [*own, "help"]) from None
    except flags.IllegalFlagValueError as error:
        raise _illegal(error) from None
    except (flags.Error, ValueError) as error:  # ValueError: a value for --noNAME
        if missing := re.match(r"Missing value for flag --(\S+)$", str(error)):
            raise _without_value(missing[1]) from None
        raise InputError(str(error)) from None


def _check_values(arguments: Sequence[str]) -> None:
    """Raises an error if a flag stands where the value of another flag must stand: absl would take it as the value.

    Args:
        arguments: The command line.

    Raises:
        InputError: A flag has no value.
    """
    for word, following in itertools.pairwise(arguments):
        if word == "--":
            return
        name = word.removeprefix("--")
        takes_value = word.startswith("--") and name in flags.FLAGS and not flags.FLAGS[name].boolean
        if takes_value and following.startswith("--"):
            raise _without_value(name)


def _without_value(name: str) -> InputError:
    return InputError(f"--{name} needs a value: write --{name}=…")


def _is_missing(name: str) -> bool:
    switch = _required.get(name)
    needed = name in _required and not (switch and flags.FLAGS[switch].value)
    return needed and not flags.FLAGS[name].value


def _take_words(
    given: Sequence[str], words: flags.FlagHolder | None, missing: Sequence[flags.Flag], command: str
) -> None:
    """Assigns words to the flag that receives words given without a flag.

    Args:
        given: Words without a flag.
        words: The flag that receives them; None if the command has none.
        missing: Required flags that have not been given.
        command: Name of the command.

    Raises:
        InputError: There is a word too many. The message says which flags to use.
    """
    flag = None if words is None else flags.FLAGS[words.name]
    for number, word in enumerate(given):
        if flag is None:
            raise InputError(f"{command} takes flags only: {_with_flags(given, missing)}")
        if number and not isinstance(flag, flags.MultiFlag):
            raise InputError(f"{command} takes one word without a flag, and {word!r} is a second one; see --help")
        flag.parse(word)


def _with_flags(given: Sequence[str], missing: Sequence[flags.Flag]) -> str:
    """Returns the words with flags before them. If it is unclear which word is which, returns the missing flags."""
    if len(given) == len(missing) and not any(isinstance(flag, flags.EnumFlag) for flag in missing):
        written = [
            f"--{flag.name}={shlex.quote(_as_data(word) if 'folder:' in flag.help else word)}"
            for flag, word in zip(missing, given, strict=True)
        ]
        return f"write {' '.join(written)}"
    needs = f"give {' and '.join(f'--{flag.name}=…' for flag in missing)}, " if missing else ""
    return f"{given[0]!r} is given without a flag; {needs}see --help"


def _as_data(word: str) -> str:
    return word if re.match("[a-z]+:", word) else f"folder:{word}"


def _unknown(name: str, valid: Sequence[str]) -> InputError:
    near = difflib.get_close_matches(name, valid, n=1, cutoff=_NEAR)
    hint = f": did you mean --{near[0]}?" if near else ";"
    return InputError(f"there is no flag --{name}{hint} --help lists the flags")


def _illegal(error: flags.IllegalFlagValueError) -> InputError:
    """Returns the error for a value that absl has refused with `flag --NAME=VALUE: REASON`."""
    name, value = str(error).removeprefix("flag --").removesuffix(f": {error.__context__}").split("=", 1)
    parser = flags.FLAGS[name].parser
    if isinstance(parser, flags.EnumParser):
        return InputError.unknown(f"--{name}", value, parser.enum_values)
    return InputError(f"--{name}={shorten(value)} must be {usage.kind(parser)}")


def _set_up_logs() -> None:
    """Sends the project's log to standard error, and leaves out informal remarks of other libraries."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # prints names of files, which need not be UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")
        sys.stdout = cast(TextIO, _HarmlessOutput(sys.stdout))
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    handler = logging.get_absl_handler()
    handler.addFilter(FlagsInMessages())
    handler.addFilter(lambda record: record.levelno > _INFO or "seer_tf" in record.pathname)
    handler.setFormatter(_Lines())
    getLogger("tensorflow").addFilter(lambda record: record.levelno > _INFO)  # this logger has its own handler


class _HarmlessOutput:
    """A text file that gets control characters, as names of files and classes may have them, as text."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        self._file.write(printable_lines(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Lines(Formatter):
    """Writes the time, the word "warning" or "error" for such a record, and the message."""

    def format(self, record: LogRecord) -> str:
        grave = f"{record.levelname.lower()}: " if record.levelno >= _WARNING else ""
        return f"{self.formatTime(record, '%H:%M:%S')} {grave}{super().format(record)}"


def _name(module: ModuleType) -> str:
    return Path(sys.argv[0]).stem if module.__name__ == "__main__" else module.__name__.rpartition(".")[2]


def _stop(sentence: str, status: int) -> NoReturn:
    _say(sentence)
    sys.exit(status)


def _say(sentence: str) -> None:
    sys.stdout.flush()
    print(f"error: {printable(with_flags(sentence))}", file=sys.stderr, flush=True)
