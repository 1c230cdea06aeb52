"""One real step with SEER's own recipe: 771 million weights, forward pass, Sinkhorn, backward pass, LARS.

The step takes 16 GiB.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

STEP = """
import json, resource, sys, zlib
import numpy as np
import tensorflow as tf
from seer_tf import config as configs
from seer_tf.pretraining.recipes import recipe
from seer_tf.methods.swav.state import TrainState
from seer_tf.methods.swav.step import train_step

assignments = ["run.precision=float32", "data.global_batch_size=2", "crops.sizes_px=64,32",
               "schedule.reference_batch_size=2", "swav.freeze_prototypes_steps=0"]
state = TrainState(configs.override(recipe(sys.argv[1]), assignments))
crops = tuple(tf.cast(tf.random.stateless_uniform([2, n, side, side, 3], [1, side], 0, 256, tf.int32), tf.uint8)
              for n, side in ((2, 64), (4, 32)))
weights = state.model.trainable_variables
# Of the whole: a single unit of squeeze-and-excitation may be silent for all crops, and then its row stays.
checksums = lambda: [zlib.crc32(np.ascontiguousarray(weight.value)) for weight in weights]
before = checksums()
metrics = tf.function(lambda: train_step(state, crops))()
print(json.dumps({
    "loss": float(metrics["loss"]),
    "first_bad": int(metrics["first_bad"]),
    "num_weights": sum(weight.shape.num_elements() for weight in weights),
    "still": [weight.path for weight, old, new in zip(weights, before, checksums()) if old == new],
    "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
}))
"""


@pytest.mark.slow
def test_a_step_of_the_128gf_recipe() -> None:
    command = ["timeout", "-k", "5", "1200", sys.executable, "-c", STEP, "seer_regnety_128gf"]
    child = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(child.stdout.splitlines()[-1])
    assert result["num_weights"] == 771_293_814
    assert result["first_bad"] == -1
    # Two images have more prototypes than they can use, so the codes stay nearly uniform and the loss near ln K.
    assert result["loss"] == pytest.approx(np.log(16_000), rel=0.1)
    assert result["still"] == []
