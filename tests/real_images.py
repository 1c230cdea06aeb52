"""Real images that lie beside the checkout and are no part of it; a test that wants them skips where they are not."""

import pytest

from tests.places import ROOT

REAL_IMAGES = ROOT.parent / "shared" / "images"
needs_real_images = pytest.mark.skipif(not REAL_IMAGES.is_dir(), reason=f"there are no real images in {REAL_IMAGES}")
