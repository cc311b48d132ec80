"""A target with a known truth: for tests, demonstrations and measuring Lontra itself."""
