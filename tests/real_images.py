"""Real images beside the checkout. They are not in the repository, so a test that needs them skips without them."""

import pytest

from tests.places import ROOT

REAL_IMAGES = ROOT.parent / "shared" / "images"
needs_real_images = pytest.mark.skipif(not REAL_IMAGES.is_dir(), reason=f"there are no real images in {REAL_IMAGES}")
