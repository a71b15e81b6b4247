"""Labelled images as they lie in files: names, labels, splits, bytes; nothing is decoded. No Pillow, no torch."""
