"""The version, in a file of its own: what needs it imports nothing else."""

__version__ = "0.2.0"
