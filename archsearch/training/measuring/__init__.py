"""Measured, not trained: latency, the faster precision, the time of a step."""
