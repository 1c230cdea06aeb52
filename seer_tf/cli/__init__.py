"""The commands: absl flags, and the calls into the library that they stand for."""
