"""Which network is tried next: candidates within the budget, what is known of them, the samplers."""
