"""Complete evaluations on frozen features: from a request to a result and its table."""
