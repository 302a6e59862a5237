"""Shell scripts: their syntax, and what they do on one platform."""
