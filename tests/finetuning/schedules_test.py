"""Learning rates over epochs."""

import numpy as np

from seer_tf.finetuning.config import EpochScheduleConfig
from seer_tf.finetuning.recipes import recipe
from seer_tf.finetuning.schedules import epoch_schedule
from tests.references.schedules import Launch


def test_the_rate_falls_at_the_first_step_of_an_epoch() -> None:
    """The paper's rates for 256 images are 0.0125, and 0.00125 from epoch 30 of 35. The test has 512 images."""
    schedule = epoch_schedule(EpochScheduleConfig(), 70, 512)
    rates = [float(schedule(step)) for step in range(70)]
    np.testing.assert_allclose(rates, [0.025] * 60 + [0.0025] * 10, rtol=1e-6)


def test_a_cosine_ends_at_the_final_rate() -> None:
    config = EpochScheduleConfig(kind="cosine", peak_learning_rate=0.4, final_learning_rate=0.1)
    schedule = epoch_schedule(config, 100, 256)
    steps = np.arange(101)
    expected = 0.1 + 0.3 * (1 + np.cos(np.pi * steps / 100)) / 2
    np.testing.assert_allclose([float(schedule(step)) for step in steps], expected, rtol=1e-5)


def test_low_shot_rates_equal_vissls() -> None:
    """The settings are VISSL's semi_sup_fulltune.yaml, one node with eight GPUs, 32 images for each GPU.

    The data are a hundredth of ImageNet's labels.
    """
    launch = Launch(num_nodes=1, images_per_gpu=32, num_images=12_811, num_epochs=70)
    file = {"name": "multistep", "values": [0.05, 0.005], "milestones": [30]}
    config, resolved = recipe("low_shot_imagenet_1"), launch.resolve(file, base_value=0.05)
    schedule = epoch_schedule(config.schedule, launch.num_steps, launch.global_batch_size)
    fall = resolved["milestones"][0] * launch.num_steps // launch.num_epochs
    rates = [float(schedule(step)) for step in (0, fall - 1, fall, launch.num_steps - 1)]
    np.testing.assert_allclose(rates, np.repeat(resolved["values"], 2), rtol=1e-6)
