"""Sources of images: one module for each kind of source, and views of sources."""
