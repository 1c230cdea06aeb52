"""Fine-tunes RetinaNet on a network's backbone, on images with boxes, and reports COCO's mean average precision."""

from absl import flags

from seer_tf.api.detection import finetune_detector
from seer_tf.cli import command

MODEL = command.required(flags.DEFINE_string("model", None, "A run, a checkpoint, a conversion or a .keras file."))
UNTRAINED = flags.DEFINE_bool("untrained", False, "Use the same backbone with fresh weights.")
BOXES = command.required(
    flags.DEFINE_string("boxes", None, "Images with boxes: a directory in the layout of COCO or Pascal VOC.")
)
TRAIN_SPLIT = flags.DEFINE_string("train_split", "train", "Split to fit on.")
TEST_SPLIT = flags.DEFINE_string("test_split", "test", "Split to measure the precision on.")
OUTPUT = command.required(flags.DEFINE_string("output", None, "Directory to write; must not exist."))
SIZE_PX = flags.DEFINE_integer(
    "size_px", 512, "Side of the square that the network sees, in pixels; a multiple of 128.", lower_bound=128
)
NUM_STEPS = flags.DEFINE_integer("num_steps", 2000, "Number of training steps.", lower_bound=1)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Number of images in a batch.", lower_bound=1)
LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-3, "Learning rate at the end of the warm-up.", lower_bound=0.0)
NUM_HEAD_LAYERS = flags.DEFINE_integer(
    "num_head_layers", 4, "Number of convolutions in each head before its last one.", lower_bound=1
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of fresh weights, order and mirroring.", 0, 2**32 - 1)


def main() -> None:
    """Runs the command."""
    tuned = finetune_detector(
        MODEL.value,
        OUTPUT.value,
        boxes=BOXES.value,
        train_split=TRAIN_SPLIT.value,
        test_split=TEST_SPLIT.value,
        untrained=UNTRAINED.value,
        size_px=SIZE_PX.value,
        num_steps=NUM_STEPS.value,
        batch_size=BATCH_SIZE.value,
        learning_rate=LEARNING_RATE.value,
        num_head_layers=NUM_HEAD_LAYERS.value,
        seed=SEED.value,
    )
    print(*tuned.lines(), tuned.to_json(), sep="\n", flush=True)
