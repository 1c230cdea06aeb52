"""The operations of a grouped convolution: the choice among them, and equal results."""

import json
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.exporting import fresh_process
from seer_tf.models import convolution, normalization
from seer_tf.models.convolution import ChoiceAtLoading
from seer_tf.models.layers import Conv2D


def _num_convolutions(dtype: str) -> int:
    layer = Conv2D(6, 3, groups=3, dtype=dtype)
    layer.build((None, None, None, 6))
    graph = tf.function(layer).get_concrete_function(tf.TensorSpec([2, 4, 4, 6], dtype)).graph
    return sum(operation.type == "Conv2D" for operation in graph.get_operations())


def test_one_operation_is_used_if_it_has_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "_has_grouped_gradient_on_cpu", lambda dtype: dtype == tf.float32)
    assert (_num_convolutions("float32"), _num_convolutions("float64")) == (1, 3)


@pytest.mark.parametrize(("device", "num_convolutions"), [("GPU:0", 1), ("CPU:0", 2)])
def test_other_devices_use_one_operation(device: str, num_convolutions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "_has_grouped_gradient_on_cpu", lambda dtype: False)
    with tf.Graph().as_default() as graph, tf.device(device):
        convolution.convolve(tf.zeros([1, 3, 3, 4]), tf.zeros([3, 3, 2, 4]))
    assert sum(operation.type == "Conv2D" for operation in graph.get_operations()) == num_convolutions


def test_one_line_says_how_grouped_convolutions_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(convolution.logging, "info", lambda line, *args: lines.append(line % args))
    convolution._has_grouped_gradient_on_cpu.cache_clear()
    for _ in range(2):
        _num_convolutions("float64")
    assert lines == [
        "Grouped convolutions in float64 on the CPU: one operation per group, because the single operation has no "
        "gradient here."
    ]


def test_a_file_for_another_runtime_always_has_one_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "_has_grouped_gradient_on_cpu", lambda dtype: False)
    assert convolution.as_one_operation(_num_convolutions)("float32") == 1
    assert _num_convolutions("float32") == 3


@pytest.fixture
def choice() -> Iterator[ChoiceAtLoading]:
    """A choice of operations. After the test, the choice of this process applies again."""
    choice = ChoiceAtLoading()
    yield choice
    choice._initialize()


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("at_once", [False, True])
def test_both_choices_give_the_convolution_and_its_gradients(
    at_once: bool, strides: int, has_bias: bool, relu: bool, choice: ChoiceAtLoading
) -> None:
    """The result equals the result of this process without a choice at run time."""
    random = np.random.default_rng(0)
    sources = [tf.constant(random.normal(size=size), tf.float32) for size in ((2, 5, 4, 6), (3, 3, 2, 6), (6,))]
    sources = sources if has_bias else sources[:2]
    upstream = tf.constant(random.normal(size=(2, 5, 4, 6)), tf.float32)

    def found(*sources: tf.Tensor) -> list[tf.Tensor]:
        outputs = convolution.convolve(*sources, strides=strides, relu=relu)
        return [outputs, *tf.gradients(outputs, sources, upstream[:, : outputs.shape[1], : outputs.shape[2]])]

    tf.raw_ops.AssignVariableOp(resource=choice.resource_handle, value=at_once)
    chosen = tf.function(choice.applied_to(found))(*sources)
    for ours, expected in zip(chosen, tf.function(found)(*sources), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("at_once", [False, True])
def test_a_function_holds_both_choices_and_runs_the_chosen_operations(at_once: bool, choice: ChoiceAtLoading) -> None:
    """One operation in float64 has no gradient on any CPU, so the error shows which operations ran.

    The error is of the gradient by the images or by the filters, whichever is computed first.
    """
    sources = [tf.ones([1, 3, 3, 4], tf.float64), tf.ones([3, 3, 2, 4], tf.float64)]

    @tf.function
    def gradients(*sources: tf.Tensor) -> list[tf.Tensor]:
        return tf.gradients(choice.applied_to(convolution.convolve)(*sources), sources)

    tf.raw_ops.AssignVariableOp(resource=choice.resource_handle, value=at_once)
    if at_once:
        with pytest.raises(tf.errors.InvalidArgumentError, match="grouped convolutions|filter_size"):
            gradients(*sources)
    else:
        assert float(tf.reduce_sum(gradients(*sources)[1])) == 49 * 2 * 4  # 49 pixels below the taps of each filter


class _Layers(tf.Module):
    """Two grouped convolutions as inference has them, ready to be saved: one with a bias, one before batch norm."""

    def __init__(self, choice: ChoiceAtLoading) -> None:
        super().__init__()
        self.choice = choice
        self.kernel = tf.Variable(tf.random.stateless_normal([3, 3, 8, 16], seed=[0, 0]))
        self.numbers = tf.Variable(tf.linspace(0.5, 1.5, 16))
        signature = [tf.TensorSpec([None, None, None, 16])]
        for layer in (self._biased, self._normalized):
            function = tf.function(choice.applied_to(layer), input_signature=signature, autograph=False)
            setattr(self, layer.__name__.strip("_"), function)

    def _biased(self, inputs: tf.Tensor) -> tf.Tensor:
        kernel, bias = tf.convert_to_tensor(self.kernel), tf.convert_to_tensor(self.numbers)
        return tf.reduce_mean(convolution.convolve(inputs, kernel, bias, relu=True), axis=[1, 2])

    def _normalized(self, inputs: tf.Tensor) -> tf.Tensor:
        outputs = convolution.convolve(inputs, tf.convert_to_tensor(self.kernel))
        normalized = normalization.normalized(outputs, *[tf.convert_to_tensor(self.numbers)] * 4, epsilon=1e-5)
        return tf.reduce_mean(tf.nn.relu(normalized), axis=[1, 2])


_RUN_LAYERS = """
import json, sys
import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context

layers, inputs, found = tf.saved_model.load(sys.argv[1]), np.load(sys.argv[2]), {}
for name in ("biased", "normalized"):
    context.context().enable_graph_collection()
    outputs = getattr(layers, name)(inputs).numpy().tolist()
    graphs = context.context().export_run_metadata().partition_graphs
    context.context().disable_graph_collection()
    found[name] = [outputs, [node.op for graph in graphs for node in graph.node]]
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.parametrize("variables", fresh_process.EVERY_ONE_DNN, ids=str)
def test_a_saved_inference_has_one_operation_for_each_convolution_fused_only_with_one_dnn(
    variables: Mapping[str, str], choice: ChoiceAtLoading, tmp_path: pathlib.Path
) -> None:
    layers, inputs = _Layers(choice), np.random.default_rng(0).normal(size=[2, 6, 5, 16]).astype(np.float32)
    tf.saved_model.save(layers, str(tmp_path / "layers"))
    np.save(tmp_path / "inputs.npy", inputs)
    (tmp_path / "run.py").write_text(_RUN_LAYERS)
    ran = fresh_process.run_script(tmp_path / "run.py", (tmp_path / "layers", tmp_path / "inputs.npy"), variables)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    for name, (outputs, operations) in found.items():
        np.testing.assert_allclose(outputs, getattr(layers, name)(inputs), rtol=1e-5, atol=1e-5)
        assert sum("Conv2D" in operation for operation in operations) == 1, (name, operations)
    has_one_dnn = variables["TF_ENABLE_ONEDNN_OPTS"] == "1"
    assert ("Relu" in found["biased"][1]) != has_one_dnn
