"""The network as an ONNX file: uint8 crops [B, S, S, 3] in, outputs by name.

Class names, if there are any, are in the file's metadata under `class_names`, as a JSON list.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import tensorflow as tf

from seer_tf.models import convolution
from seer_tf.networks.network import Network


def write_onnx(network: Network, path: Path) -> None:
    """Writes the model from uint8 crops to outputs, for any batch size."""
    import onnx  # imported here, because it is an optional dependency

    crops = tf.TensorSpec([None, network.size_px, network.size_px, 3], tf.uint8, name="images")
    with warnings.catch_warnings():
        # Keras checks whether NumPy 2 has np.object, which tf2onnx needs; the check causes a warning.
        warnings.filterwarnings("ignore", message=".*np.object", category=FutureWarning)
        convolution.as_one_operation(network.on_images.export)(
            path, format="onnx", verbose=False, input_signature=[crops]
        )
    model = onnx.load(path)
    replace_erfc(model.graph)
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    if network.class_names:
        onnx.helper.set_model_props(model, {"class_names": json.dumps(network.class_names)})
    onnx.save(model, path)


def replace_erfc(graph: Any) -> None:
    """Writes the complementary error function, which GELU needs and ONNX does not have, as 1 - erf.

    Args:
        graph: `onnx.GraphProto`, changed in place.
    """
    from onnx import TensorProto, helper

    nodes = []
    for node in graph.node:
        if node.op_type == "Erfc":
            one, erf = f"{node.output[0]}/one", f"{node.output[0]}/erf"
            graph.initializer.append(helper.make_tensor(one, TensorProto.FLOAT, [], [1.0]))
            nodes += [helper.make_node("Erf", node.input, [erf]), helper.make_node("Sub", [one, erf], node.output)]
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
