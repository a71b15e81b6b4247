"""What a network is. Data only: standard library, pydantic and PyYAML; no torch."""
