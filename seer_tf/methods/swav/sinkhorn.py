"""Sinkhorn-Knopp: turns prototype scores into codes that use all prototypes equally (SwAV, section 3.1, appendix A).

Read `plain_sinkhorn.py` first: it makes the same codes in six lines, and a test compares the two.

Legend: B images on this replica, K prototypes, R replicas; `...` are P independent problems, e.g. the assigning crops.

The released code (vissl/losses/distibuted_sinkhornknopp.py) divides Q = exp(scores / epsilon) in turn by its sums over
images and over prototypes, in place. Here Q = M u v. M stays unchanged, u is a factor for each prototype, and v is a
factor for each image. So an iteration reads M twice and writes nothing as large as M. Each row of M is divided by its
largest number, so that no row vanishes; v starts with these largest numbers.

If a prototype's sum is zero, the released code adds 1e-12 to all of Q. Here the factor of that prototype has a limit,
and the other prototypes keep their codes. With cosines as scores no sum is zero: if epsilon is so small that
exp(2 / epsilon) overflows in float32, everything is computed in float64.
"""

import functools
import math
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import tensorflow as tf

from seer_tf.distributed import collectives, gpus
from seer_tf.errors import InputError

# The largest factor of a prototype is the largest finite number to this power. Such a factor times any number of
# prototypes stays finite, and so does the inverse of the product.
_LIMIT_EXPONENT = 0.8

# A matrix product adds the prototypes of an image one after the other. With few images many of these numbers are equal,
# and then such a sum has large rounding errors.
_FEW_IMAGES = 4

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def sinkhorn(scores: tf.Tensor, *, epsilon: float, num_iterations: int, counted: tf.Tensor | None = None) -> tf.Tensor:
    """Returns the codes of a batch that is spread over all replicas.

    ```
    Q = exp(scores / epsilon)
    repeat num_iterations times:
        Q /= sum of Q over the images of all replicas    # every prototype is used equally ...
        Q /= sum of Q over the prototypes                # ... and every code sums to one
    ```

    The codes do not depend on the number of replicas that share the images. The cost is one SUM of [..., K] per
    iteration, and one SUM of [..., R] for the largest score. No gradient flows.

    Args:
        scores: Scores [..., B, K] in any floating dtype. They are cosines, because features and prototypes have unit
            norm.
        epsilon: Weight of the entropy, above zero. A smaller weight gives sharper codes.
        num_iterations: Number of iterations, at least one.
        counted: Mask of the images that take part, bool [B], with at least one on every replica; None for all images.

    Returns:
        Codes [..., B, K], at least float32. Their rows sum to one. The codes of images that do not take part are zero.
        All codes are finite for any finite scores.

    Raises:
        InputError: `epsilon` or `num_iterations` is too small.
    """
    if epsilon <= 0 or num_iterations < 1:
        raise InputError(
            f"Sinkhorn needs an epsilon above zero and at least one iteration, but got {epsilon} and {num_iterations}"
        )
    dtype = tf.float32 if scores.dtype.size < tf.float32.size else scores.dtype
    shape = tf.shape(scores)
    problems = tf.reshape(tf.stop_gradient(scores), [math.prod(scores.shape[:-2]), shape[-2], shape[-1]])  # [P, B, K]
    problems = tf.cast(problems, working_dtype(dtype, epsilon))
    counted = tf.fill([shape[-2]], True) if counted is None else counted
    codes = _codes if collectives.num_replicas() > 1 else _codes_alone
    return tf.cast(tf.reshape(codes(problems, counted, epsilon, num_iterations), shape), dtype)


def working_dtype(dtype: tf.DType, epsilon: float) -> tf.DType:
    """Returns the dtype of the computation: float64 if exp(2 / epsilon) overflows in `dtype`.

    Args:
        dtype: Dtype of the scores, at least float32.
        epsilon: Weight of the entropy, above zero.
    """
    return dtype if 2 / epsilon <= math.log(_limit(dtype)) else tf.float64


def _compiled(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Compiles a function with XLA, so that several passes over the data become one.

    On GPUs the function is not compiled, because XLA needs CUDA files that an installation of TensorFlow may lack.
    """
    compiled = tf.function(function, autograph=False, jit_compile=True)

    @functools.wraps(function)
    def call(*arguments: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        return (function if gpus.are_used() else compiled)(*arguments, **options)

    return call


@_compiled
def _begun(scores: tf.Tensor, counted: tf.Tensor, epsilon: float) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns M [P, B, K], the sums of exp((scores - largest) / epsilon) over images [P, 1, K], and largest [P, 1, 1].

    `largest` is the largest score of this replica's counted images.
    """
    row_largest = tf.reduce_max(scores, axis=-1, keepdims=True)  # [P, B, 1]
    largest = tf.reduce_max(_of_counted(row_largest, counted, otherwise=scores.dtype.min), axis=-2, keepdims=True)
    m = tf.exp((scores - row_largest) * (1.0 / epsilon))
    v = _of_counted(tf.exp((row_largest - largest) * (1.0 / epsilon)), counted)
    return m, _weighted_sums(m, v, axis=-2), largest


@_compiled
def _next(m: tf.Tensor, u: tf.Tensor, sums: tf.Tensor, counted: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns u [P, 1, K] after an iteration with the sums over all replicas, and the next sums on this replica."""
    u = _factors(u, sums)
    return u, _weighted_sums(m, _image_factors(m, u, counted), axis=-2)


@_compiled
def _last(m: tf.Tensor, u: tf.Tensor, sums: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
    """Returns Q [P, B, K] after an iteration with the sums over all replicas."""
    u = _factors(u, sums)
    return m * u * _image_factors(m, u, counted)


def _codes(scores: tf.Tensor, counted: tf.Tensor, epsilon: float, num_iterations: int) -> tf.Tensor:
    m, own_sums, own_largest = _begun(scores, counted, epsilon)
    own_sums *= tf.exp((own_largest - _largest(own_largest)) * (1.0 / epsilon))
    u = tf.ones_like(own_sums)
    for _ in range(num_iterations - 1):
        u, own_sums = _next(m, u, collectives.all_reduce(own_sums), counted)
    return _last(m, u, collectives.all_reduce(own_sums), counted)


# A single replica reduces nothing, so the whole function can be compiled together.
_codes_alone = _compiled(_codes)


def _factors(u: tf.Tensor, sums: tf.Tensor) -> tf.Tensor:
    """Returns the next u [P, 1, K] = (B / K) / sums, from the last u and the sums of M v over images, [P, 1, K].

    B is the number of images that take part, on all replicas. It need not be known, because each row of M u v sums to
    one and so u * sums adds up to B. Without B / K, u and v would drift apart by this factor in every iteration.
    """
    return tf.minimum(tf.reduce_mean(u * sums, axis=-1, keepdims=True) / sums, tf.constant(_limit(u.dtype), u.dtype))


def _limit(dtype: tf.DType) -> float:
    return dtype.max**_LIMIT_EXPONENT


def _image_factors(m: tf.Tensor, u: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
    """Returns v [P, B, 1], which makes each row of M u v sum to one."""
    return _of_counted(1.0 / _weighted_sums(m, u, axis=-1), counted)


def _weighted_sums(m: tf.Tensor, weights: tf.Tensor, *, axis: int) -> tf.Tensor:
    """Returns the sums of M [P, B, K] times weights, over images [P, 1, K] or over prototypes [P, B, 1]."""
    # On a GPU this is not a matrix product, because TF32 would round it to 10 bits.
    if gpus.are_used() or (m.shape[-2] or math.inf) <= _FEW_IMAGES:
        return tf.reduce_sum(m * weights, axis=axis, keepdims=True)
    return tf.matmul(weights, m, transpose_a=True) if axis == -2 else tf.matmul(m, weights, transpose_b=True)


def _of_counted(x: tf.Tensor, counted: tf.Tensor, *, otherwise: float = 0.0) -> tf.Tensor:
    """Returns x [P, B, 1], with the value `otherwise` for images that do not take part."""
    return tf.where(counted[:, tf.newaxis], x, tf.constant(otherwise, x.dtype))


def _largest(own_largest: tf.Tensor) -> tf.Tensor:
    """Returns the largest score of each problem over all replicas, [P, 1, 1], by a SUM, since there is no MAX."""
    own_place = tf.range(collectives.num_replicas()) == collectives.replica_id()  # [R]
    gathered = collectives.all_reduce(tf.where(own_place, own_largest, tf.zeros_like(own_largest)))  # [P, 1, R]
    return tf.reduce_max(gathered, axis=-1, keepdims=True)
