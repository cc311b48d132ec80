"""The `command` adapter: anything that programs can set and measure."""
