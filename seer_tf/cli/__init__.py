"""The commands: absl flags, and the calls into the library that they stand for.

Python imports this module before any command, so that TensorFlow is always quiet.
"""

from seer_tf.cli import quiet_start

quiet_start.begin()
