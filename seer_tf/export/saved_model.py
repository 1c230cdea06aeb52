"""The backbone as a SavedModel: images in, features out, with TensorFlow alone.

Signatures, each returning `features`, float32 [B, C]:
  serve          `images`, uint8 [B, H, W, 3], any one size per batch: the evaluation's resize and centre crop inside.
  serve_encoded  `encoded`, strings [B], each a JPEG or PNG file (also GIF, BMP, WebP) whose pixels are upright. Returns
                 `valid`, bool [B], too: what cannot be decoded gets zeros and False, and does not fail the rest.
  serve_float    `crops`, float32 [B, H, W, 3], already cropped and normalised with the mean and std of metadata.json.
serving_default is serve.

Nothing is called exported that was not loaded again in a fresh process and compared there.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import seer_tf
from seer_tf.config import Config
from seer_tf.data.decode import decode_image
from seer_tf.data.labelled import resize_and_crop
from seer_tf.errors import InputError
from seer_tf.models import SwavModel

# B images, H x W pixels, S evaluation size, C feature channels
TOLERANCE = 1e-5
"""Of the reloaded model's features from the Keras model's, relative to the largest feature where that is above one."""


def export_saved_model(
    model: SwavModel,
    *,
    size_px: int,
    output_dir: str | os.PathLike[str],
    metadata: Mapping[str, Any],
) -> float:
    """Writes a SavedModel with metadata.json in it, loads it in a fresh process and compares.

    Args:
        model: whose backbone and normalisation are exported, in float32.
        size_px: side S of the centre crop of `serve` and `serve_encoded`.
        output_dir: where to write; must not exist.
        metadata: what metadata.json says besides shapes, preprocessing and versions.

    Returns:
        The largest difference found; see `TOLERANCE`.

    Raises:
        InputError: `output_dir` exists.
        RuntimeError: the reloaded model differs by more than `TOLERANCE`; nothing stays written.
    """
    output = Path(output_dir)
    if output.exists():
        raise InputError(f"{output} exists already; name another output directory or remove it")
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        archive = keras.export.ExportArchive()
        archive.track(model.backbone)
        for name, function in signatures(model, size_px=size_px).items():
            archive.add_endpoint(name, function)
        archive.write_out(str(partial), verbose=False)
        described = {
            **metadata,
            "feature_dim": int(model.backbone.output_shape[-1]),
            "preprocessing": _preprocessing(model, size_px),
            "versions": _versions(),
        }
        (partial / "metadata.json").write_text(json.dumps(described, indent=2) + "\n")
        difference = _difference_in_fresh_process(partial, model, size_px)
        if not difference <= TOLERANCE:
            raise RuntimeError(
                f"the reloaded SavedModel differs by {difference:.1e} from the model; nothing was written"
            )
        partial.chmod(0o755)  # mkdtemp's is private
        os.replace(partial, output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return difference


def run_metadata(config: Config) -> dict[str, Any]:
    """Returns what metadata.json says of the run that a model comes from."""
    return {
        "variant": config.backbone.variant,
        "stem_stride": config.backbone.stem_stride,
        "recipe": config.recipe,
        "training_data": config.data.source,
        "training_steps": config.run.num_steps,
        "licence": None,
    }


def signatures(model: SwavModel, *, size_px: int) -> dict[str, Callable]:
    """Returns the signatures by name as compiled functions; the first is the default one."""

    def features(crops: tf.Tensor) -> tf.Tensor:
        num_crops = tf.shape(crops)[0]
        # A convolution of no images fails in oneDNN: give it one, and take its features away again.
        some = tf.cond(num_crops > 0, lambda: crops, lambda: tf.zeros([1, size_px, size_px, 3]))
        return model.features(some, training=False)[:num_crops]  # [B, C]

    crop_spec = tf.TensorSpec([size_px, size_px, 3], tf.uint8)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        crops = tf.map_fn(lambda image: resize_and_crop(image, size_px), images, fn_output_signature=crop_spec)
        return {"features": features(model.normalize(crops))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="encoded")])
    def serve_encoded(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        crops, valid = _decoded_crops(encoded, size_px)
        return {"features": tf.where(valid[:, None], features(model.normalize(crops)), 0.0), "valid": valid}

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, name="crops")])
    def serve_float(crops: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": features(crops)}

    return {"serve": serve, "serve_encoded": serve_encoded, "serve_float": serve_float}


def _decoded_crops(encoded: tf.Tensor, size_px: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes and crops each string, and says which could be: uint8 [B, S, S, 3] and bool [B].

    A graph has no try, but a tf.data pipeline can leave out elements that fail; their positions tell which these were.
    """
    num = tf.shape(encoded, out_type=tf.int64)[0]
    decoded = (
        tf.data.Dataset.from_tensor_slices((tf.range(num), encoded))
        .map(
            lambda position, one: (position, resize_and_crop(decode_image(one), size_px)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .ignore_errors()
        # One more at position B, so that there is always a batch to take.
        .concatenate(tf.data.Dataset.from_tensors((num, tf.zeros([size_px, size_px, 3], tf.uint8))))
    )
    positions, crops = decoded.batch(num + 1).get_single_element()  # [n + 1], [n + 1, S, S, 3]
    shape = tf.stack([num + 1, size_px, size_px, 3])
    crops = tf.scatter_nd(positions[:, None], tf.cast(crops, tf.int32), shape)[:-1]  # [B, S, S, 3]
    valid = tf.scatter_nd(positions[:, None], tf.ones_like(positions), tf.stack([num + 1]))[:-1] > 0  # [B]
    return tf.ensure_shape(crops, [None, size_px, size_px, 3]), valid


def _preprocessing(model: SwavModel, size_px: int) -> dict[str, Any]:
    return {
        "resize_shorter_side_px": round(size_px * 256 / 224),
        "center_crop_px": size_px,
        "unchanged_when": f"the image is {size_px} x {size_px} already",
        "scale": 1 / 255,
        "mean": list(model.mean),
        "std": list(model.std),
        "exif_orientation": "not applied by serve_encoded",
    }


def _versions() -> dict[str, str]:
    return {
        "seer_tf": seer_tf.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "python": platform.python_version(),
    }


# Runs in a process that has TensorFlow alone: no Keras layer of this package, nothing of it on the path.
_FRESH_PROCESS = """
import json, sys
import numpy as np
import tensorflow as tf
given = np.load(sys.argv[2])
loaded = tf.saved_model.load(sys.argv[1]).signatures
found = {}
for name in ("small", "large"):
    found[name] = loaded["serve"](images=tf.constant(given[name + "_images"]))["features"]
encoded = [tf.io.encode_png(image) for image in given["large_images"]] + [tf.constant(b"no image")]
answer = loaded["serve_encoded"](encoded=tf.stack(encoded))
assert answer["valid"].numpy().tolist() == [True] * len(given["large_images"]) + [False]
found["encoded"] = answer["features"][:-1]
found["float"] = loaded["serve_float"](crops=tf.constant(given["crops"]))["features"]
assert "seer_tf" not in sys.modules
print(json.dumps({name: float(np.abs(given[name] - features.numpy()).max()) for name, features in found.items()}))
"""


def _difference_in_fresh_process(saved_model: Path, model: SwavModel, size_px: int) -> float:
    """Returns the largest difference of any signature, relative to the largest feature if that is above one."""
    generator = np.random.default_rng(0)
    given: dict[str, Any] = {}
    for name, shape in (("small", (size_px, size_px)), ("large", (size_px * 2 + 1, size_px + 9))):
        images = generator.integers(0, 256, (3, *shape, 3), np.uint8)
        crops = np.stack([resize_and_crop(tf.constant(image), size_px).numpy() for image in images])
        given[f"{name}_images"] = images
        given["crops"] = model.normalize(crops).numpy()
        given[name] = model.features(given["crops"], training=False).numpy()
    given["encoded"] = given["float"] = given["large"]
    with tempfile.TemporaryDirectory() as scratch:
        np.savez(f"{scratch}/given.npz", **given)
        fresh = subprocess.run(
            [sys.executable, "-I", "-c", _FRESH_PROCESS, str(saved_model), f"{scratch}/given.npz"],
            capture_output=True,
            text=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
        )
    if fresh.returncode:
        raise RuntimeError(f"the SavedModel does not load in a fresh process; nothing was written:\n{fresh.stderr}")
    differences = json.loads(fresh.stdout.splitlines()[-1])
    return max(differences.values()) / max(1.0, float(np.abs(given["large"]).max()))
