"""Reading what people write: strict YAML, counts, and errors that say where, what and what instead."""
