"""What a worker's report means and what it does next; the ledger is written here. No Ray."""
