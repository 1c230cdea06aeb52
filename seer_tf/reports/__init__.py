"""Pages to look at: self-contained HTML."""
