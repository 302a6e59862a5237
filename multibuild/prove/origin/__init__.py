"""The trace of a foreign file: its layer, the line of the Dockerfile that made it, the lint rule that explains it."""
