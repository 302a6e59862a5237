"""The buildx client: its process, its progress output, its logs, and when an attempt is repeated."""
