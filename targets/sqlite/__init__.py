"""A real SQLite database under a parameterised workload: the target of the first minute."""
