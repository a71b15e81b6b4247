"""From one trained network smaller ones: slices of it, ranked before any training, and the best trained on."""
