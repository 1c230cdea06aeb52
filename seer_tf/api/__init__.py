"""What Python code calls: `seer_tf.pretrain`, `load`, `evaluate` and `export`. The commands call the same functions."""
