"""A selection is a source with some of another's images."""

import numpy as np

from seer_tf.data.sources.registry import open_source
from seer_tf.data.sources.selection import Selection


def test_a_selection_has_the_names_bytes_and_labels_of_its_images() -> None:
    source = open_source("builtin:test")
    some = Selection(source, np.array([7, 3]))
    assert some.num_images == 2
    assert some.ids == [source.ids[7], source.ids[3]]
    assert [some.read(0), some.read(1)] == [source.read(7), source.read(3)]
    assert some.labels is not None
    assert source.labels is not None
    np.testing.assert_array_equal(some.labels, source.labels[[7, 3]])
    assert some.class_names == source.class_names
