"""What the verbs show: the live view, bars, pages of text, figures and tables."""
