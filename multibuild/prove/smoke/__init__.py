"""The configured test, run in every child."""
