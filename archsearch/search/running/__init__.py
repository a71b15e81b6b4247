"""Where trials run: Ray Tune, its nodes and workers."""
