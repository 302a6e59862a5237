"""The build stage: one child per platform."""
