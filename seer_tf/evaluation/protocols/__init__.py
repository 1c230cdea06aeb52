"""How features and networks are judged: one module for each protocol."""
