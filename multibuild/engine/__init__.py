"""The seam to the Docker engine."""
