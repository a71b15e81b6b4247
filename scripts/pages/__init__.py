"""The pages of docs/ that are made from the code: `python -m scripts.pages` writes them anew, a test compares them."""
