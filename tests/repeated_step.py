"""The last step of a run, once more from the checkpoint before: the state of a run that was killed in this step."""

import numpy as np

from seer_tf.config import Config
from seer_tf.data.sources.base import Source
from seer_tf.files.atomic import remove_directory
from seer_tf.pretraining.task import pretrain
from seer_tf.training import tensor_store
from seer_tf.training.run_directory import RunDirectory


def assert_repeats_bit_for_bit(config: Config, source: Source, directory: RunDirectory) -> None:
    """Repeats the last step of a complete run. All bits must be equal, and the run must have learned.

    Args:
        config: Config of the run, with a checkpoint after each step.
        source: Images of the run.
        directory: Run directory.
    """
    last = config.run.num_steps
    first, expected = _tensors(directory, 1), _tensors(directory, last)
    kernels = [name for name in expected if name.endswith("kernel") and "velocity" not in name]
    assert kernels and all(np.isfinite(value).all() for value in expected.values())
    assert any(np.any(expected[name] != first[name]) for name in kernels)
    remove_directory(directory.checkpoint(last))
    assert pretrain(config, source, directory).step == last
    found = _tensors(directory, last)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def _tensors(directory: RunDirectory, step: int) -> dict[str, np.ndarray]:
    path = directory.checkpoint(step)
    return tensor_store.read(path, tensor_store.shapes(path))
