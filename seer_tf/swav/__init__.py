"""SwAV (arXiv 2006.09882): Sinkhorn codes, swapped prediction, and the signs of collapse."""
