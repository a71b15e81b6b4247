"""Data on the device, batched augmentation, recipe, the loop of metrics, checkpoints. Needs torch alone."""
