"""Features: the model, its stages and the size of the images."""

from absl import flags

from seer_tf.evaluation.features.pixels import PIXEL_FEATURES
from seer_tf.evaluation.features.request import BATCH_SIZE as DEFAULT_BATCH_SIZE
from seer_tf.evaluation.features.request import FeatureRequest

MODEL = flags.DEFINE_string(
    "model",
    None,
    "A run, one of its checkpoints (RUN/checkpoints/step-500), a directory from convert_checkpoint.py, or a .keras "
    "file.",
)
flags.DEFINE_alias("run_dir", "model")
UNTRAINED = flags.DEFINE_bool("untrained", False, "Use the run's network with its initial weights.")
PIXELS = flags.DEFINE_string(
    "pixels",
    None,
    f"Use pixel features instead of a network's features: {', '.join(PIXEL_FEATURES)}. With --run_dir images are as "
    "large as for the run's network, and the result is kept with the run.",
)
STAGES = flags.DEFINE_list(
    "stages",
    None,
    "Some of avgpool, res2, res3 …, pooled as in VISSL, and all_stages. [backbone.features of the run, without a run "
    "avgpool; for stored features all]",
)
SIZE_PX = flags.DEFINE_integer(
    "size_px", None, "Side of the square that the network sees, in pixels. [the model's own]", lower_bound=1
)
SQUASH = flags.DEFINE_bool("squash", False, "Squeeze whole images into the square instead of cropping them.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", DEFAULT_BATCH_SIZE, "Number of images in a batch.", lower_bound=1)


def request() -> FeatureRequest:
    """Returns the features that the flags ask for."""
    return FeatureRequest(
        model=MODEL.value,
        untrained=UNTRAINED.value,
        pixels=PIXELS.value,
        stages=tuple(STAGES.value or ()),
        size_px=SIZE_PX.value,
        squash=SQUASH.value,
        batch_size=BATCH_SIZE.value,
    )
