"""Copies from store to store: manifests, blobs and what refers to them."""
