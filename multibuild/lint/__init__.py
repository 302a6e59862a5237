"""Lint of Dockerfiles: mistakes that put the wrong architecture into an image."""
