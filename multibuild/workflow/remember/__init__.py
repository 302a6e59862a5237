"""What the registry remembers of an index: written, looked up, and reused."""
