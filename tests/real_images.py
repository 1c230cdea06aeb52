"""Real images that lie beside the checkout and are no part of it; a test that wants them skips where they are not."""

from pathlib import Path

import pytest

REAL_IMAGES = Path(__file__).parents[2] / "shared" / "images"
needs_real_images = pytest.mark.skipif(not REAL_IMAGES.is_dir(), reason=f"there are no real images in {REAL_IMAGES}")
