"""The network as an ONNX file: uint8 crops [B, S, S, 3] in, outputs by name.

Class names, if there are any, are in the file's metadata under `class_names`, as a JSON list.
"""

import json
import warnings
from pathlib import Path

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
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    if network.class_names:
        onnx.helper.set_model_props(model, {"class_names": json.dumps(network.class_names)})
    onnx.save(model, path)
