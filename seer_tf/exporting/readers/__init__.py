"""Scripts that load an exported file with its own runtime alone and run it: what a user of the file would write.

Each takes the file, a directory with what to run it on, and where to write its outputs by name. They are run in a
process of their own, and know nothing of this package, except the one of the `.keras` file, which needs its layers.
"""
