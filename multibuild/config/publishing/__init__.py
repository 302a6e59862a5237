"""Sections about what happens to an image once it is built and proved."""
