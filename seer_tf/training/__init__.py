"""The engine: loop, checkpoints, logging and health checks. It knows no task and no method."""
