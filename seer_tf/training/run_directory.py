"""The directory of a run: `config.json`, `checkpoints/`, `tensorboard/`, `export/`, and `shards/` of arrays."""

import contextlib
import functools
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from absl import logging

import seer_tf
from seer_tf import config as configs
from seer_tf.config import AnyConfig, BaseConfig, Config
from seer_tf.data.sources import places
from seer_tf.errors import InputError
from seer_tf.files import sealed_json, storage
from seer_tf.files.atomic import check_directory, is_left_over, remove_left_over, write_atomically
from seer_tf.files.lock import locked
from seer_tf.versions import versions

_MAY_CHANGE = (
    "backbone.activation_checkpointing",
    "backbone.features",
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
_NO_IMAGES: Mapping[str, str] = {}

T = TypeVar("T")


class RunDirectory:
    """The directory of one run: paths of its files, and checks that it belongs to the run.

    Attributes:
        path: Path of the directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Takes the path of a directory, which need not exist yet.

        Args:
            path: Path on this machine or on a shared file system.

        Raises:
            InputError: The path is a URL: a bucket has no locks, and nothing can be appended to its files.
        """
        if storage.is_remote(path):
            raise InputError(
                f"{os.fspath(path)} is a URL, and a run needs locks; give a directory on this machine or "
                "on a shared file system, and copy it to the bucket from there"
            )
        self.path = pathlib.Path(path)

    @property
    def checkpoints(self) -> pathlib.Path:
        """Returns the directory of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> pathlib.Path:
        """Returns the directory of TensorBoard's events."""
        return self.path / "tensorboard"

    @property
    def shards(self) -> pathlib.Path:
        """Returns the directory of the images that were given in memory."""
        return self.path / "shards"

    @property
    def backbone(self) -> pathlib.Path:
        """Returns the file of the network that was given in memory."""
        return self.path / "backbone.keras"

    @property
    def export(self) -> pathlib.Path:
        """Returns the directory of the exported model."""
        return self.path / "export"

    @property
    def retries(self) -> pathlib.Path:
        """Returns the file that lists the attempts that were given up."""
        return self.path / "retries.json"

    @property
    def history(self) -> pathlib.Path:
        """Returns the file with what the health checks have seen."""
        return self.path / "history.jsonl"

    @property
    def conclusion(self) -> pathlib.Path:
        """Returns the file with what the complete run says about its result."""
        return self.path / "conclusion.json"

    @property
    def all_stages(self) -> pathlib.Path:
        """Returns the directory with the whitening of all stages, a file for each state of the weights."""
        return self.path / "all_stages"

    def attempt(self, number: int) -> pathlib.Path:
        """Returns the directory for the events of an attempt that was given up, counted from 1."""
        return self.path / f"attempt-{number}"

    def checkpoint(self, step: int) -> pathlib.Path:
        """Returns the path of the checkpoint at a step."""
        return self.checkpoints / f"{_CHECKPOINT}{step}"

    def checkpoint_steps(self) -> list[int]:
        """Returns the steps that have a checkpoint, the earliest first."""
        names = (path.name.removeprefix(_CHECKPOINT) for path in self.checkpoints.glob(f"{_CHECKPOINT}*"))
        return sorted(int(name) for name in names if name.isdecimal())

    def newest_checkpoint(self) -> pathlib.Path | None:
        """Returns the path of the checkpoint with the latest step; None without checkpoints."""
        steps = self.checkpoint_steps()
        return self.checkpoint(steps[-1]) if steps else None

    def holds_a_run(self) -> bool:
        """Returns whether a run was started in this directory."""
        return (self.path / "config.json").exists()

    def read_config(self) -> Config:
        """Returns the config of a pretraining run; raises the errors of `read_config_of`."""
        return self.read_config_of(Config)

    def read_config_of(self, kind: type[AnyConfig]) -> AnyConfig:
        """Returns the config of the run. Its paths are those with which the run was last continued.

        Args:
            kind: Type of the run's config.

        Raises:
            InputError: The directory is not a run directory, or the run is of another kind.
        """
        config = self._read(lambda content: configs.from_json(content["config"], kind))
        if not self.backbone.is_file():
            return config
        return configs.replace(config, {"backbone.variant": os.path.abspath(self.backbone)})  # moves with the run

    def kind(self) -> str:
        """Returns what kind of run this is: "pretraining" or "finetuning".

        Raises:
            InputError: The directory is not a run directory, or the kind of the run is unknown.
        """
        return self._read(lambda content: configs.read_kind(content["config"]))

    def method(self) -> str:
        """Returns the method of a pretraining run.

        Raises:
            InputError: The directory is not a run directory.
        """
        return self._read(lambda content: configs.read_method(content["config"]))

    def _read(self, interpret: Callable[[Mapping[str, Any]], T]) -> T:
        """Returns the result of a function that is given the content of config.json."""
        file = self.path / "config.json"
        try:
            content = sealed_json.parse(file.read_bytes())
            written_by = content["versions"]["seer_tf"]
            if _numbers(written_by) > _numbers(seer_tf.__version__):
                raise InputError(
                    f"the run was made by seer_tf {written_by}, which is newer than this {seer_tf.__version__}: "
                    "install that version to continue the run"
                )
            return interpret(content)
        except (FileNotFoundError, NotADirectoryError):
            check_exists(self.path)
            raise InputError(f"{self.path} is not a run directory: it has no config.json") from None
        except InputError as error:
            raise InputError(f"{file}: {error}") from None
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror}); change its permissions") from None
        except sealed_json.DamagedJsonError as error:
            raise InputError(
                f"{file} is damaged ({error}); restore it or start a new run in another directory"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InputError(f"{file} is damaged; restore it or start a new run in another directory") from None

    def check(self, config: BaseConfig, images: Mapping[str, str] | None = None) -> None:
        """Raises the errors that `claim` would raise, and writes nothing.

        Args:
            config: Config of the run.
            images: `Source.identity` of the images by field, e.g. "data.source"; None if they are not opened yet.
                The images may have moved since the run began, if they are still the same images.

        Raises:
            InputError: The directory belongs to another run, or it is not empty and not a run directory.
        """
        if not self.holds_a_run():
            self.check_place()
            return
        begun, known = places.with_absolute_places(self.read_config_of(type(config))), self.images()
        config = places.with_absolute_places(config)
        may_change = {*_MAY_CHANGE, *places.DATA}  # the images themselves are compared below
        if "data.train" in known:
            may_change.add("data.subset_list")  # the identity of the images covers it
        if self.newest_checkpoint() is not None:
            # From now on `run.init_from` gives only the shape of the network, and `backbone.weights` nothing.
            may_change |= {"run.init_from", "backbone.weights"}
        changed = [text for text in configs.differences(begun, config) if text.partition(":")[0] not in may_change]
        if changed:
            raise self._of_another_run("; ".join(changed))
        if images is not None:
            self._check_images(places.data(begun), places.data(config), known, images)

    def _check_images(
        self, was: Mapping[str, str], now: Mapping[str, str], known: Mapping[str, str], images: Mapping[str, str]
    ) -> None:
        """Compares the images that the run has noted with the present ones.

        Args:
            was: Path of the images when the run was last continued, by field.
            now: Path of the images now, by field.
            known: Identity of the images that the run has noted, by field.
            images: Identity of the images now, by field.
        """
        for field, place in now.items():
            has_moved, identity = was.get(field) != place, images.get(field)
            texts = f"{field}: {was.get(field)} ({known.get(field)}), {place} ({identity})"
            if has_moved and identity and field not in known:
                _warn(
                    f"{self.path} was begun by a version that did not note its images: check yourself that {place} "
                    f"has the same images as {was.get(field)}"
                )
            elif has_moved and (identity is None or identity != known[field]):
                raise self._of_another_run(texts)
            elif not has_moved and identity != known.get(field, identity):
                _warn(f"{self.path} continues with other images than before: {texts}")

    def check_place(self) -> None:
        """Raises an error if this directory cannot hold a run, whatever its config.

        Raises:
            InputError: The directory is not empty and not a run directory, or it cannot be created or written.
        """
        check_directory(self.path)
        if not self.holds_a_run() and self.path.exists() and any(self._all_but_given()):
            raise InputError(f"{self.path} is not empty and not a run directory; give another `run_dir`")

    def _all_but_given(self) -> Iterator[pathlib.Path]:
        """Yields the paths in the directory, without images and a network that were given in memory.

        What a process that was killed left does not count.
        """
        given = (self.shards, self.backbone)
        return (path for path in self.path.iterdir() if path not in given and not is_left_over(path.name))

    @contextlib.contextmanager
    def claimed(self, config: BaseConfig, images: Mapping[str, str] = _NO_IMAGES) -> Iterator[None]:
        """Claims the directory, and locks out other processes until the context ends or this process dies.

        If an error or Ctrl-C ends the context before the run has written anything, a new directory is released: its
        config.json is removed.

        Args:
            config: As for `check`.
            images: As for `check`.

        Raises:
            InputError: `claim` raises it, or another process is writing to the directory.
        """
        is_new = not self.holds_a_run()
        self.claim(config, images)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(self.path / "lock"))
            except BlockingIOError:
                raise InputError(
                    f"another process is writing to {self.path}: wait until it ends, or give another `run_dir`"
                ) from None
            remove_left_over(self.path)
            try:
                self._note_places(config, images)
                yield
            except BaseException:
                files = [self.path / "config.json", self.path / "lock"]
                if is_new and sorted(self._all_but_given()) == files:
                    for file in files:
                        file.unlink()
                raise

    def claim(self, config: BaseConfig, images: Mapping[str, str] = _NO_IMAGES) -> None:
        """Makes the directory belong to a run with this config: writes config.json, or checks an existing one.

        Args:
            config: As for `check`.
            images: As for `check`.

        Raises:
            InputError: The directory belongs to another run, is not empty and not a run directory, or cannot be
                written.
        """
        self.check(config, images)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not self.holds_a_run():
                config = places.with_absolute_places(config)
                self._write({"config": configs.to_json(config), "images": dict(images), "versions": versions()})
        except OSError as error:
            raise InputError(f"{self.path} cannot be written ({error.strerror}); give another `run_dir`") from None

    def _note_places(self, config: BaseConfig, images: Mapping[str, str]) -> None:
        """Writes the present paths of images and networks into config.json, so that later commands find them."""
        begun = self.read_config_of(type(config))
        moved = places.moved(begun, places.named(places.with_absolute_places(config)))
        noted = {**self.images(), **images}
        if (moved, noted) != (begun, self.images()):
            self._write({**self._read(dict), "config": configs.to_json(moved), "images": noted})

    def images(self) -> dict[str, str]:
        """Returns the identity of the images by field; an older run may have noted none."""
        return self._read(lambda content: sealed_json.typed(content.get("images", {}), dict[str, str]))

    def _write(self, content: Mapping[str, Any]) -> None:
        write_atomically(self.path / "config.json", sealed_json.text(content))

    def _of_another_run(self, changed: str) -> InputError:
        return InputError(
            f"{self.path} holds a run with another config ({changed}): give the same flags to continue that run, or "
            f"give another `run_dir`, with `run.init_from={self.path}` to start from its weights"
        )

    def facts(self, config: BaseConfig, images: Mapping[str, str]) -> dict[str, str]:
        """Returns the facts that must be equal on all workers of a run in this directory.

        Args:
            config: As for `check`.
            images: As for `check`.
        """
        return {
            **versions(),
            **configs.to_texts(config),
            **{f"what {field} holds": identity for field, identity in images.items()},
            f"the newest checkpoint in {self.checkpoints}": str(self.newest_checkpoint()),
        }


@contextlib.contextmanager
def moves_named(directory: RunDirectory | None, argument: str) -> Iterator[None]:
    """Adds a hint to an `InputError` about a missing path if a run is continued: how to name the new path.

    Args:
        directory: Directory of the run; None without a run.
        argument: Argument that takes the new path.
    """
    try:
        yield
    except InputError as error:
        if directory is None or not directory.holds_a_run():
            raise
        message = f"{str(error).rstrip('.')}; if it has moved, name its new place by `{argument}`"
        raise InputError(message) from None


def check_exists(path: pathlib.Path) -> None:
    """Raises an error if a path does not exist.

    Raises:
        InputError: The path does not exist. If it names a checkpoint of a run, the message lists those that exist.
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


@functools.cache
def _warn(text: str) -> None:
    logging.warning("%s", text)  # cached, so that each text is shown once


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
