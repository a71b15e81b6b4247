"""What the verbs print: pages of text."""
