"""Bake and compose definitions, resolved by buildx, as images of multibuild."""
