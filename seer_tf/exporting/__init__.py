"""Export of trained networks to files for use without this package."""
