"""The config file: read, overridden by flags, interpolated and validated once."""
