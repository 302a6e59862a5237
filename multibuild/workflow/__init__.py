"""The use cases: what a command does, put together from the stages."""
