"""RegNetY: design, network, and the conversion of released weights."""
