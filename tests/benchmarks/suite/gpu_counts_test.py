"""What a GPU would be asked to do in a step of a small network does not grow."""

import resource

import keras
import pytest
import tensorflow as tf

from benchmarks.harness import gpu_graph
from benchmarks.suite.gpu_counts import IMAGES, Counted
from seer_tf.methods.swav.state import TrainState
from seer_tf.methods.swav.step import train_step
from tests.small_networks import one_stage_model, random_crops, small_config


def _counts(precision: str) -> gpu_graph.Counts:
    config = small_config("crops.sizes_px=16,8", f"data.global_batch_size={IMAGES}", f"run.precision={precision}")
    state = TrainState(config, model=one_stage_model(config, synchronized=False))
    step = tf.function(lambda *crops: train_step(state, crops), autograph=False)
    with gpu_graph.tracing_for_gpus():
        graph = step.get_concrete_function(*random_crops(config, IMAGES)).graph
    return gpu_graph.counts(graph, gpu_graph.needed(graph), IMAGES)


@pytest.mark.parametrize(
    ("precision", "launches", "activation_bytes"), [("float32", 476, 26_152_664), ("mixed_float16", 538, 13_792_440)]
)
def test_a_step_starts_no_more_kernels_and_moves_no_more_bytes(
    precision: str, launches: int, activation_bytes: int
) -> None:
    found = _counts(precision)
    assert (found.transposes, found.collectives) == (0, 0)
    assert found.launches <= launches
    assert found.activation_bytes <= activation_bytes


def test_variables_without_values_take_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with gpu_graph.without_values():
        large = keras.Variable("ones", shape=(1000, 1000, 500))
    assert large.shape == (1000, 1000, 500)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB, of 2,000,000
    assert keras.Variable("ones", shape=(2,)).numpy().tolist() == [1, 1]


def test_the_table_has_a_row_for_each_number_of_devices() -> None:
    found = {"launches": 4531, "activation_bytes": 6_726_837_576, "transposes": 0, "collectives": 0}
    table = Counted("a step", {1: found, 2: found | {"collectives": 222}}).table()
    assert table.splitlines()[-2:] == ["| 1 | 4,531 | 6.7 | 0 | 0 |", "| 2 | 4,531 | 6.7 | 0 | 222 |"]
