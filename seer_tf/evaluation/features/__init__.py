"""Features of images: extraction, storage and labels."""
