"""The winner, confirmed: the best trials and baselines retrained over seeds, then one look at the test split."""
