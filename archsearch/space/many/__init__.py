"""Many candidates at once: rows of codes, counted and chosen from without building one."""
