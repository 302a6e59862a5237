"""`init`: from a Dockerfile to a first config."""
