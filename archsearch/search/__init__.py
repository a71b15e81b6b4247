"""The search: proposals (Optuna), rungs, one trial, and the trials on Ray Tune."""
