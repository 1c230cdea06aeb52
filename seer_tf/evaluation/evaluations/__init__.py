"""Evaluations on frozen features as a whole: from a request to a result and its table."""
