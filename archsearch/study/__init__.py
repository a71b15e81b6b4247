"""A search as a study of Optuna: its trials, distributions and storage, read from the ledger and never written."""
