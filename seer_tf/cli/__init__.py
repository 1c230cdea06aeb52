"""The commands: absl flags, and the calls into the library that they stand for.

Each command imports this first, so TensorFlow is quiet in it however it is imported.
"""

from seer_tf.cli import quiet_start

quiet_start.begin()
