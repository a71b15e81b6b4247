"""Search spaces: what may vary, within what budget, and how a file says so. No torch, no Optuna."""
