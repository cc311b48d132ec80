"""The comparison with other people's optimizers: what is run, what was aimed at, and its page."""
