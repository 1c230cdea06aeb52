"""The directory of a run: `config.json`, `checkpoints/`, `tensorboard/`, `export/`."""

import contextlib
import hashlib
import json
import os
import pathlib
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import keras
import tensorflow as tf

import seer_tf
from seer_tf import config as configs
from seer_tf.config import AnyConfig, BaseConfig, Config
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.files import storage
from seer_tf.files.atomic import write_atomically
from seer_tf.files.lock import locked

_MAY_CHANGE = (
    "backbone.activation_checkpointing",
    "data.augment_on",
    "data.max_bad_fraction",
    "run.log_every_steps",
    "run.examine_every_steps",
    "run.checkpoint_every_steps",
    "run.keep_checkpoints",
    "run.keep_every_steps",
    "run.on_trouble",
    "run.steps_per_call",
)
_CHECKPOINT = "step-"

T = TypeVar("T")


class RunDirectory:
    """Names and guards the places of a run's files.

    Attributes:
        path: Path of the directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Names a directory; it need not exist yet.

        Raises:
            InputError: it is a URL: only `tf.io.gfile` could open that, and it has no locks.
        """
        if storage.is_remote(path):
            raise InputError(f"{os.fspath(path)} is a URL; give a directory of this machine or of a shared file system")
        self.path = pathlib.Path(path)

    @property
    def checkpoints(self) -> pathlib.Path:
        """Returns where checkpoints lie."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> pathlib.Path:
        """Returns where TensorBoard's events lie."""
        return self.path / "tensorboard"

    @property
    def export(self) -> pathlib.Path:
        """Returns where the exported model lies."""
        return self.path / "export"

    def checkpoint(self, step: int) -> pathlib.Path:
        """Returns where the checkpoint of a step lies."""
        return self.checkpoints / f"{_CHECKPOINT}{step}"

    def checkpoint_steps(self) -> list[int]:
        """Returns the steps of which there are checkpoints, the earliest first."""
        names = (path.name.removeprefix(_CHECKPOINT) for path in self.checkpoints.glob(f"{_CHECKPOINT}*"))
        return sorted(int(name) for name in names if name.isdecimal())

    def newest_checkpoint(self) -> pathlib.Path | None:
        """Returns where the checkpoint of the latest step lies, or None where there is none."""
        steps = self.checkpoint_steps()
        return self.checkpoint(steps[-1]) if steps else None

    def holds_a_run(self) -> bool:
        """Returns whether a run was started here."""
        return (self.path / "config.json").exists()

    def read_config(self) -> Config:
        """Returns the config that a run of pretraining was started with; raises as `read_config_of`."""
        return self.read_config_of(Config)

    def read_config_of(self, kind: type[AnyConfig]) -> AnyConfig:
        """Returns the config that the run was started with.

        Args:
            kind: Type of the run's config.

        Raises:
            InputError: The directory is not one of a run, or the run is of another kind.
        """
        return self._read(lambda values: configs.from_json(values, kind))

    def kind(self) -> str:
        """Returns what kind of run this is: "pretraining" or "finetuning".

        Raises:
            InputError: The directory is not one of a run, or its kind or method is unknown.
        """
        return self._read(configs.kind_in)

    def _read(self, interpret: Callable[[Mapping[str, Any]], T]) -> T:
        """Returns what a function makes of the saved config."""
        file = self.path / "config.json"
        try:
            content = json.loads(file.read_text("utf-8"))
            written_by = content["versions"]["seer_tf"]
            if _numbers(written_by) > _numbers(seer_tf.__version__):
                raise InputError(
                    f"the run was made by seer_tf {written_by}, which is newer than this {seer_tf.__version__}: "
                    "install that one to go on with it"
                )
            return interpret(content["config"])
        except FileNotFoundError:
            check_exists(self.path)
            raise InputError(f"{self.path} is not the directory of a run: it has no config.json") from None
        except InputError as error:
            raise InputError(f"{file}: {error}") from None
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror}); change its permissions") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InputError(f"{file} is damaged; restore it or start a new run in another directory") from None

    def check(self, config: BaseConfig) -> None:
        """Raises where `claim` would, and writes nothing.

        Raises:
            InputError: the directory belongs to another run, or is something else that is not empty.
        """
        if self.holds_a_run():
            changed = [
                text
                for text in configs.differences(self.read_config_of(type(config)), config)
                if text.partition(":")[0] not in _MAY_CHANGE
            ]
            if changed:
                raise InputError(
                    f"{self.path} holds a run of another config ({'; '.join(changed)}): give the same flags to "
                    f"continue it, or another `run_dir`, with `run.init_from={self.path}` to start from its weights"
                )
        elif self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise InputError(f"{self.path} is not empty and not the directory of a run; give another `run_dir`")

    @contextlib.contextmanager
    def claimed(self, config: BaseConfig) -> Iterator[None]:
        """Claims the directory, and keeps other processes from doing so until the context ends or this process dies.

        Where an error or Ctrl-C ends the context before anything was made, a new directory belongs to nobody again.

        Raises:
            InputError: as `claim` does, or another process is writing to the directory.
        """
        is_new = not (self.path / "config.json").exists()
        self.claim(config)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(self.path / "lock"))
            except BlockingIOError:
                raise InputError(
                    f"another process is writing to {self.path}: wait until it ends, or give another `run_dir`"
                ) from None
            try:
                yield
            except BaseException:
                files = [self.path / "config.json", self.path / "lock"]
                if is_new and sorted(self.path.iterdir()) == files:
                    for file in files:
                        file.unlink()
                raise

    def claim(self, config: BaseConfig) -> None:
        """Makes the directory belong to a run of this config: writes config.json, or checks the one that is there.

        Raises:
            InputError: the directory belongs to another run, is something else that is not empty, or cannot be written.
        """
        self.check(config)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not self.holds_a_run():
                content = {"config": configs.to_json(config), "versions": versions()}
                write_atomically(self.path / "config.json", json.dumps(content, indent=2) + "\n")
        except OSError as error:
            raise InputError(f"{self.path} cannot be written ({error.strerror}); give another `run_dir`") from None

    def facts(self, config: BaseConfig, source: Source) -> dict[str, str]:
        """Returns what must be the same on every worker of a run that continues in this directory."""
        return {
            **versions(),
            **configs.to_texts(config),
            "the number of images": str(source.num_images),
            f"the newest checkpoint in {self.checkpoints}": str(self.newest_checkpoint()),
        }


def check_exists(path: pathlib.Path) -> None:
    """Raises if nothing lies at a path.

    Raises:
        InputError: Nothing lies there. The message names the checkpoints of the run where one of them is asked for.
    """
    if path.exists():
        return
    run = RunDirectory(path.parent.parent)
    if path.parent == run.checkpoints and run.holds_a_run():
        names = [run.checkpoint(step).name for step in run.checkpoint_steps()]
        if not names:
            raise InputError(f"{run.path} has no checkpoint yet")
        raise InputError.unknown(f"checkpoint of {run.path}", path.name, names)
    raise InputError(f"there is no file or directory {path}")


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def versions() -> dict[str, str]:
    """Returns what the numbers of a run depend on besides its config; `code` is a hash of this package's files."""
    return {
        "seer_tf": seer_tf.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "python": platform.python_version(),
        "code": _digest_of_code(),
    }


def _digest_of_code() -> str:
    package = pathlib.Path(seer_tf.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]
