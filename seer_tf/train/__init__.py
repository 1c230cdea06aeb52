"""Training: the state of a run, one step of it, and the loop around it."""
