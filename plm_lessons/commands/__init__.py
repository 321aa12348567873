"""The command line: a module for each command, with its arguments and messages; most of the work is done elsewhere."""
