"""What archsearch does, as functions and objects: the Python face, which the command line prints."""
