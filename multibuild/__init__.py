"""Build one Dockerfile for every architecture and publish one annotated index."""

__version__ = "0.1.0"
