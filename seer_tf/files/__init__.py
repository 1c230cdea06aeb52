"""Files: atomic writes, JSON lines, locks, local and remote storage."""
