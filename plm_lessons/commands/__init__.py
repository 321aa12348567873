"""The command line, one module for each command. What they do is elsewhere; here are their arguments and messages."""
