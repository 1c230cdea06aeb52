"""How things are measured: in turns, in processes of their own, beside the limits of the machine."""
