"""Pictures in one pass."""
