"""The verbs, one file each: arguments are read, a function is called, its result is printed."""
