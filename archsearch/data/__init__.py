"""Images and their splits, from packages, files and folders. NumPy and Pillow, no torch."""
