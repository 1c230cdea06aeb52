"""The held-out slice takes its fraction from every class, and is always the same."""

import numpy as np

from seer_tf.evaluation.held_out import held_out


def test_every_class_gives_its_fraction():
    """The test fails if the slice is drawn from all images together."""
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 7], [100, 20, 5]))
    chosen = held_out(labels, 0.2)
    assert np.bincount(labels[chosen], minlength=8).tolist() == [20, 4, 0, 0, 0, 0, 0, 1]


def test_every_class_keeps_an_image():
    """This holds even if nearly all images are held out."""
    labels = np.array([0, 0, 0, 1])
    assert np.bincount(labels[~held_out(labels, 0.99)]).tolist() == [1, 1]


def test_the_choice_depends_on_labels_and_seed_alone():
    """The choice is not simply the first images."""
    labels = np.zeros(1000, int)
    np.testing.assert_array_equal(held_out(labels, 0.2), held_out(labels, 0.2))
    assert (held_out(labels, 0.2, seed=1) != held_out(labels, 0.2)).any()
    assert 50 < held_out(labels, 0.2)[:500].sum() < 150
