"""Runs an ONNX file on crops: onnx.py FILE.onnx GIVEN OUTPUTS.npz."""

import sys

import numpy as np
import onnxruntime

model, given, outputs = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
found = session.run(None, {"images": np.load(f"{given}/crops.npy")})
np.savez(outputs, **{output.name: value for output, value in zip(session.get_outputs(), found, strict=True)})
