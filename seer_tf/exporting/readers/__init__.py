"""Scripts that load and run an exported file with only its own runtime, as a user of the file would.

Each script takes three arguments: the file, a directory with inputs, and the file for outputs by name. Scripts run in a
separate process and do not import this package. The script for the `.keras` file is the exception, because it needs
the package's layers.
"""
