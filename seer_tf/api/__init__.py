"""The Python interface: `seer_tf.pretrain`, `load`, `evaluate` and `export`. The commands call the same functions."""
