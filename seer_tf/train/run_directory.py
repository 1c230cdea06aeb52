"""The directory of a run: `config.json`, `checkpoints/`, `tensorboard/`, `export/`."""

import json
import os
import pathlib
import platform
import tempfile

import keras
import tensorflow as tf

import seer_tf
from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.errors import InputError

_MAY_CHANGE = ("run.log_every_steps", "run.checkpoint_every_steps", "run.keep_checkpoints", "run.steps_per_call")


class RunDirectory:
    """Names and guards the places of a run's files.

    Attributes:
        path: of the directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Names a directory; it need not exist yet."""
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

    def read_config(self) -> Config:
        """Returns the config that the run was started with.

        Raises:
            InputError: the directory is not one of a run.
        """
        file = self.path / "config.json"
        try:
            return configs.from_json(json.loads(file.read_text())["config"])
        except FileNotFoundError:
            raise InputError(f"{self.path} is not the directory of a run: it has no config.json") from None
        except (json.JSONDecodeError, KeyError):
            raise InputError(f"{file} is damaged; restore it or start a new run in another directory") from None

    def claim(self, config: Config) -> None:
        """Makes the directory belong to a run of this config: writes config.json, or checks the one that is there.

        Raises:
            InputError: the directory belongs to another run, or is something else that is not empty.
        """
        if (self.path / "config.json").exists():
            changed = [
                text
                for text in configs.differences(self.read_config(), config)
                if text.partition(":")[0] not in _MAY_CHANGE
            ]
            if changed:
                raise InputError(
                    f"{self.path} holds a run of another config ({'; '.join(changed)}): give the same flags to "
                    "continue it, or another --run_dir"
                )
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise InputError(f"{self.path} is not empty and not the directory of a run; give another --run_dir")
        self.path.mkdir(parents=True, exist_ok=True)
        versions = {
            "seer_tf": seer_tf.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "python": platform.python_version(),
        }
        _write_json(self.path / "config.json", {"config": configs.to_json(config), "versions": versions})


def _write_json(file: pathlib.Path, values: object) -> None:
    with tempfile.NamedTemporaryFile("w", dir=file.parent, suffix=".tmp", delete=False) as temporary:
        json.dump(values, temporary, indent=2)
        temporary.write("\n")
    os.replace(temporary.name, file)
