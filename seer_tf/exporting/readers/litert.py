"""Runs a LiteRT file on crops, one at a time: litert.py FILE.tflite GIVEN OUTPUTS.npz."""

import sys
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

model, given, outputs = sys.argv[1:]
run = Interpreter(model_path=model).get_signature_runner()
answers = [run(images=crop[None]) for crop in np.load(f"{given}/crops.npy")]
found: dict[str, Any] = {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
np.savez(outputs, **found)
