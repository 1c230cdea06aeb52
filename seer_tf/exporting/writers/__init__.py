"""Writers, one module for each export format."""
