"""The child runs, and is what it says."""
