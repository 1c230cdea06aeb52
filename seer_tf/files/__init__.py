"""Files: atomic writes, locks, local and remote storage."""
