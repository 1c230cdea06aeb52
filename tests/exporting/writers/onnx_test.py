"""What ONNX does not have is written in operations that it has."""

import math

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from seer_tf.exporting.writers.onnx import replace_erfc


def test_the_complementary_error_function() -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in ("x", "y"))
    nodes = [helper.make_node("Neg", ["x"], ["minus"]), helper.make_node("Erfc", ["minus"], ["y"])]
    graph = helper.make_graph(nodes, "graph", [x], [y])
    replace_erfc(graph)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model)
    values = np.linspace(-3, 3, 7, dtype=np.float32)
    (found,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": values})
    np.testing.assert_allclose(found, [math.erfc(-value) for value in values], atol=1e-6)
