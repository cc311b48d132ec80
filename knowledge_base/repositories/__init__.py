"""One module for each kind of record: what can be asked of it, and what can be done to it."""
