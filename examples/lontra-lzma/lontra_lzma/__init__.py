"""A target for Lontra: LZMA compression of one file."""
