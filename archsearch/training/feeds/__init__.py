"""Batches on the device, drawn and augmented there."""
