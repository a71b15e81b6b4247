"""Measurements on the device at hand: latency, the faster precision, the time of a training step."""
