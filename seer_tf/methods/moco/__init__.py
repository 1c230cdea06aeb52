"""MoCo v2: a view finds the other view of its image among keys of earlier steps (arXiv 1911.05722, 2003.04297)."""
