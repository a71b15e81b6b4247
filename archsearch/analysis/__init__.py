"""Readings of networks for people: drawings and the page of the grammar. No torch, no plotting library."""
