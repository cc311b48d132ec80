"""One module a command, loaded when called."""
