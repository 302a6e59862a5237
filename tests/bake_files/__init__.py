"""Bake and compose files as projects write them, and the images that they describe."""
