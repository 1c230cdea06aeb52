"""The harness: measures contestants in turn, in separate processes, beside the limits of the machine."""
