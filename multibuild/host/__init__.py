"""Emulators and builder made ready."""
