"""LARS and the learning-rate schedules of SwAV and SEER."""
