"""The recipe `auto`: a config derived from the images, the machine and the time."""
