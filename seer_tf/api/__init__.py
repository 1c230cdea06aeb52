"""The Python interface: one function for each thing that users do. The commands call the same functions."""
