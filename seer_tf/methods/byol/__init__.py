"""BYOL: a network predicts from one view what its own moving average makes of the other (arXiv 2006.07733)."""
