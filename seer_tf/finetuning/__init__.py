"""Fine-tuning on labelled images, as a task of the engine."""
