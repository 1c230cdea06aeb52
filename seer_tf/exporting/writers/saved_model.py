"""The network as a SavedModel that needs only TensorFlow: images in, features out.

Signatures that return `features`, float32 [B, C], and the outputs of the layers on the backbone:
  serve          `images`, uint8 [B, H, W, 3], any one size per batch; resizes and crops them as evaluation does.
  serve_encoded  `encoded`, strings [B], each a JPEG or PNG file (also GIF, BMP, WebP, JPEG XL); JPEG files are turned
                 upright. Also returns `valid`, bool [B]: a file that training would refuse gets False and zeros.
  serve_float    `crops`, float32 [B, H, W, 3], already cropped and normalised with the mean and std of metadata.json.
Signatures for further training, which take `crops` too:
  serve_stages   the maps of the stem, "P1", and of the stages, "P2" and so on, float32 [B, h, w, c].
  train_float    like serve_float, but batch normalisation uses the crops' statistics and updates the stored ones.
serving_default is serve.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from seer_tf.data.images.decode import decode_image, turn_upright
from seer_tf.data.images.graph_acceptance import accepted_size
from seer_tf.data.images.transform import Transform
from seer_tf.exporting.exif import jpeg_orientation
from seer_tf.exporting.writers.archive import Prepare, write_archive
from seer_tf.networks.network import Network

# B images, H x W pixels, S evaluation size, C feature channels
Outputs = dict[str, tf.Tensor]


def write_saved_model(network: Network, directory: Path) -> None:
    """Writes a SavedModel into a directory.

    The loaded model has `trainable_variables`. Gradients reach them through every signature that takes crops.
    """
    write_archive(directory, functools.partial(signatures, network), network.on_crops)


def signatures(network: Network, prepare: Prepare) -> dict[str, Callable]:
    """Returns the signatures by name as compiled functions; the first is the default one.

    Args:
        network: Network that the signatures run.
        prepare: Decides how a function computes grouped convolutions.
    """
    size_px = network.size_px
    crop_spec = tf.TensorSpec([size_px, size_px, 3], tf.uint8)
    float_signature = [tf.TensorSpec([None, None, None, 3], tf.float32, name="crops")]
    on_crops = prepare(network.on_crops)
    stages = prepare(keras.Model(network.backbone.input, network.backbone.pyramid_outputs))

    def outputs(crops: tf.Tensor) -> Outputs:
        return _named_classes(network, of_some(lambda some: on_crops(some, training=False), crops, size_px))

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def serve(images: tf.Tensor) -> Outputs:
        crops = tf.map_fn(network.transform, images, fn_output_signature=crop_spec)
        return outputs(network.normalize(crops))

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="encoded")])
    def serve_encoded(encoded: tf.Tensor) -> Outputs:
        crops, valid = _decoded_crops(encoded, network.transform)
        found = outputs(network.normalize(crops))
        return {name: _where(valid, output) for name, output in found.items()} | {"valid": valid}

    @tf.function(autograph=False, input_signature=float_signature)
    def serve_float(crops: tf.Tensor) -> Outputs:
        return outputs(crops)

    @tf.function(autograph=False, input_signature=float_signature)
    def serve_stages(crops: tf.Tensor) -> Outputs:
        return of_some(lambda some: stages(some, training=False), crops, size_px)

    @tf.function(autograph=False, input_signature=float_signature)
    def train_float(crops: tf.Tensor) -> Outputs:
        return on_crops(crops, training=True)

    functions = (serve, serve_encoded, serve_float, serve_stages, train_float)
    return {function.__name__: function for function in functions}


def of_some(function: Callable[[tf.Tensor], Outputs], crops: tf.Tensor, size_px: int) -> Outputs:
    """Calls a function on crops, also on zero crops: oneDNN's convolutions need at least one, so one is added.

    Args:
        function: Function from float32 [B, S, S, 3] to tensors [B, ...] by name.
        crops: Float32 [B, S, S, 3]; B may be zero.
        size_px: S.
    """
    num_crops = tf.shape(crops)[0]
    some = tf.cond(num_crops > 0, lambda: crops, lambda: tf.zeros([1, size_px, size_px, 3]))
    return {name: output[:num_crops] for name, output in function(some).items()}


def _named_classes(network: Network, outputs: Outputs) -> Outputs:
    """Adds the name of the most probable class, string [B], if there are classes."""
    if not network.class_names:
        return outputs
    best = tf.argmax(outputs["probabilities"], axis=-1)
    return {**outputs, "class_name": tf.gather(tf.constant(network.class_names), best)}


def _where(valid: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    """Returns the output with zeros (or empty text) in the rows that are not valid."""
    return tf.where(tf.reshape(valid, [-1] + [1] * (output.shape.rank - 1)), output, tf.zeros_like(output))


def _decoded_crops(encoded: tf.Tensor, transform: Transform) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes and crops each string; returns crops, uint8 [B, S, S, 3], and whether it is an accepted image, bool [B].

    A graph has no exception handling, but a tf.data pipeline can leave out elements that fail. The positions of the
    remaining elements show which ones failed.
    """

    def crop(position: tf.Tensor, one: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        stored = decode_image(one)
        with tf.control_dependencies([tf.debugging.assert_equal(tf.shape(stored, tf.int64)[:2], size)]):
            return position, transform(turn_upright(stored, jpeg_orientation(one)))

    size_px = transform.size_px
    num = tf.shape(encoded, out_type=tf.int64)[0]
    decoded = (
        tf.data.Dataset.from_tensor_slices((tf.range(num), encoded))
        .map(lambda position, one: (position, one, accepted_size(one)))
        .ignore_errors()
        .filter(lambda position, one, size: tf.reduce_all(size > 0))
        .map(crop, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .ignore_errors()
        # An additional element at position B, so that there is always a batch.
        .concatenate(tf.data.Dataset.from_tensors((num, tf.zeros([size_px, size_px, 3], tf.uint8))))
    )
    positions, crops = decoded.batch(num + 1).get_single_element()  # [n + 1], [n + 1, S, S, 3]
    shape = tf.stack([num + 1, size_px, size_px, 3])
    crops = tf.scatter_nd(positions[:, None], tf.cast(crops, tf.int32), shape)[:-1]  # [B, S, S, 3]
    valid = tf.scatter_nd(positions[:, None], tf.ones_like(positions), tf.stack([num + 1]))[:-1] > 0  # [B]
    return tf.ensure_shape(crops, [None, size_px, size_px, 3]), valid
