"""How the product's own benchmark tables are recorded; `benchmarks/record.py` is the command."""
