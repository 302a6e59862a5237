"""Stores and layouts: the OCI distribution and image specifications."""
