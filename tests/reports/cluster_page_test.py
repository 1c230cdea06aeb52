"""The page of clusters is complete, needs no other file, and shows its data."""

import numpy as np

from seer_tf.reports.cluster_page import ClusterPictures, TypicalImage, write_cluster_page
from tests.reports.page_reader import read_page


def test_the_page_shows_sizes_images_and_neighbours(tmp_path):
    """A neighbour on the page is a link with a picture, and another neighbour is a number.

    Names are text, not markup.
    """
    images = np.random.default_rng(0).integers(0, 256, [6, 16, 16, 3], np.uint8)
    clusters = [
        ClusterPictures(
            4,
            750,
            [TypicalImage("a <b>.jpg", images[0], "cat"), TypicalImage("c.jpg", images[1], "dog & cat")],
            [2, 9],
            [("cat", 0.625), ("dog", 0.25)],
        ),
        ClusterPictures(2, 1, [TypicalImage("d.jpg", images[2])], [4, 9]),
    ]
    sizes = np.zeros(10, np.int64)
    sizes[[4, 2, 9]] = 750, 1, 249
    write_cluster_page(clusters, sizes, tmp_path / "clusters.html", title="Clusters of folder:<A>")
    reader = read_page((tmp_path / "clusters.html").read_text("utf-8"))
    assert len(reader.images) == 3 + 2
    assert [image["title"] for image in reader.images if "title" in image] == ["a <b>.jpg", "c.jpg", "d.jpg"]
    assert [link for link in reader.links if link.startswith("#")] == ["#cluster-2", "#cluster-4"]
    assert all(link.startswith(("data:image/jpeg;base64,", "#")) for link in reader.links)
    for text in ("Clusters of folder:<A>", "750 images, 75.0 %", "1 image, 0.1 %", "9 (249)", "3 of 10", "1,000"):
        assert text in reader.text
    for text in ("cat 62 %", "dog 25 %", "dog & cat", "The 2 largest"):
        assert text.lower() in " ".join(reader.text.split()).lower()
    assert [path.name for path in tmp_path.iterdir()] == ["clusters.html"]
