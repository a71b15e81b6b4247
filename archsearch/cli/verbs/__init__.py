"""The verbs, one file each: arguments in, one function called, its result printed."""
