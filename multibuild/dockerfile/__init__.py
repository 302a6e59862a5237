"""Dockerfiles: their stages and images, .dockerignore rules, and the build context."""
