"""SimCLR: two views of an image attract each other, and all other images of the step repel (arXiv 2002.05709)."""
