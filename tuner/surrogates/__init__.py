"""Models of what a configuration costs, learnt from a few dozen trials. Pure mathematics."""
