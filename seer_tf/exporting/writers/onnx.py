"""The network as an ONNX file: uint8 crops [B, S, S, 3] in, outputs by name.

The names of the classes, where there are any, are in the file's metadata under `class_names`, as a JSON list.
"""

import json
import warnings
from pathlib import Path

import tensorflow as tf

from seer_tf.models import convolution
from seer_tf.networks.network import Network


def write_onnx(network: Network, path: Path) -> None:
    """Writes the model from uint8 crops to outputs; the batch size is free."""
    import onnx  # only here: an extra

    crops = tf.TensorSpec([None, network.size_px, network.size_px, 3], tf.uint8, name="images")
    with warnings.catch_warnings():
        # Keras asks NumPy 2 whether it has the np.object that tf2onnx wants.
        warnings.filterwarnings("ignore", message=".*np.object", category=FutureWarning)
        convolution.as_one_operation(network.on_images.export)(
            path, format="onnx", verbose=False, input_signature=[crops]
        )
    model = onnx.load(path)
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    if network.class_names:
        onnx.helper.set_model_props(model, {"class_names": json.dumps(network.class_names)})
    onnx.save(model, path)
