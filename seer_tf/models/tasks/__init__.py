"""Networks for a task: classifier, detector, segmenter."""
