"""A traced graph as a GPU would run it, counted on a machine without one.

TensorFlow's own passes (Grappler) rewrite the graph for a described GPU: they remove what nothing needs, fold
constants, choose the layout of images and fuse operations. What is left is counted. No GPU was asked.
"""

import collections
import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from unittest import mock

import keras
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import config_pb2, device_properties_pb2
from tensorflow.python.framework import meta_graph
from tensorflow.python.grappler import cluster, tf_optimizer

from seer_tf.distributed import gpus
from seer_tf.models import convolution

_DEVICE = "/job:localhost/replica:0/task:0/device:GPU:"
_AMPERE = "8.0"  # compute capability of an A100
_COLLECTIVES = ("CollectiveReduce", "CollectiveGather")
#: Operations that start no kernel: they rename a buffer, or the host computes them.
_WITHOUT_KERNEL = frozenset(
    "Arg Assert AssignVariableOp BroadcastGradientArgs Const ExpandDims Identity IdentityN NoOp Placeholder "
    "PreventGradient Rank ReadVariableOp Reshape Retval Shape ShapeN Size Squeeze StopGradient VarHandleOp".split()
)


@dataclasses.dataclass(frozen=True)
class Counts:
    """Numbers of one device.

    Attributes:
        launches: Operations that start a kernel.
        activation_bytes: Bytes that operations read and write in tensors of activations.
        transposes: Operations `Transpose`.
        collectives: Sums and gathers over replicas.
    """

    launches: int
    activation_bytes: int
    transposes: int
    collectives: int


@contextlib.contextmanager
def tracing_for_gpus() -> Iterator[None]:
    """Traces as for GPUs: grouped convolutions stay whole, Sinkhorn is not compiled, larger tensors are joined."""
    with (
        mock.patch.object(convolution, "is_on_cpu", lambda _: False),
        mock.patch.object(gpus, "are_used", lambda: True),
    ):
        yield


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Creates variables of Keras without values. Their memory is not used until something writes to it."""

    def initialize(variable: keras.Variable, initializer: object) -> None:
        variable._initialize(tf.raw_ops.Empty(shape=variable._shape, dtype=variable._dtype, init=False))

    with mock.patch.object(keras.Variable, "_initialize_with_initializer", initialize):
        yield


def counts(graph: tf.Graph, fetched: Sequence[tf.Operation], rows: int, *, layout: bool = False) -> Counts:
    """Returns the counts of the first device after TensorFlow's passes.

    Args:
        graph: Traced graph. The devices CPU:0, CPU:1 and so on stand for GPUs.
        fetched: Operations whose results or effects are needed.
        rows: Number of images on a device. No dimension of a weight is a multiple of it, so it tells activations.
        layout: Whether TensorFlow may change the layout of images, which this program forbids on GPUs.
    """
    optimized = _optimized(graph, [op.name for op in fetched], layout)
    nodes = [op for op in optimized.get_operations() if op.device == f"{_DEVICE}0"]
    kinds = collections.Counter(op.type for op in nodes)
    return Counts(
        launches=sum(number for kind, number in kinds.items() if kind.lstrip("_") not in _WITHOUT_KERNEL),
        activation_bytes=sum(_activation_bytes(op, rows) for op in nodes if op.type.lstrip("_") not in _WITHOUT_KERNEL),
        transposes=kinds["Transpose"],
        collectives=sum(number for kind, number in kinds.items() if kind.startswith(_COLLECTIVES)),
    )


def needed(graph: tf.Graph) -> list[tf.Operation]:
    """Returns the operations of a function's graph whose results or effects the function needs."""
    return [*(output.op for output in graph.outputs), *graph.control_outputs]


def _optimized(graph: tf.Graph, fetched: Sequence[str], layout: bool) -> tf.Graph:
    """Returns the graph after TensorFlow's passes for GPUs."""
    definition = graph.as_graph_def()
    for node in definition.node:
        node.device = f"{_DEVICE}{tf.DeviceSpec.from_string(node.device).device_index or 0}"
    described = meta_graph.create_meta_graph_def(graph=_imported(definition))
    described.collection_def["train_op"].node_list.value.extend(fetched)
    devices = [_described_gpu(name) for name in sorted({node.device for node in definition.node})]
    config = config_pb2.ConfigProto()
    options = config.graph_options.rewrite_options
    options.min_graph_nodes = -1  # small graphs too
    options.layout_optimizer = options.ON if layout else options.OFF
    return _imported(tf_optimizer.OptimizeGraph(config, described, cluster=cluster.Cluster(devices=devices)))


def _imported(definition: graph_pb2.GraphDef) -> tf.Graph:
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    return graph


def _described_gpu(name: str) -> device_properties_pb2.NamedDevice:
    properties = device_properties_pb2.DeviceProperties(
        type="GPU", num_cores=108, frequency=1400, memory_size=40 << 30, environment={"architecture": _AMPERE}
    )
    return device_properties_pb2.NamedDevice(name=name, properties=properties)


def _activation_bytes(op: tf.Operation, rows: int) -> int:
    return sum(_bytes_if_activation(tensor, rows) for tensor in (*op.inputs, *op.outputs))


def _bytes_if_activation(tensor: tf.Tensor, rows: int) -> int:
    number = tensor.shape.num_elements() if (tensor.shape.rank or 0) > 1 else None  # vectors are of weights
    return number * tensor.dtype.size if number and number % rows == 0 else 0
