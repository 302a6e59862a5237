"""The config file: read, merged, interpolated, validated once."""
