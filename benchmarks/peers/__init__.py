"""Peers that seer_tf is measured against: PyTorch, Pillow and stock Keras."""
