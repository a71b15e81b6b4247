"""Training a network: feeds of batches, recipe, the loop that yields metrics, checkpoints. Of large libraries torch."""
