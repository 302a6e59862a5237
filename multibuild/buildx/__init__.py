"""The buildx client: its process, its progress output, and the classes of its failures."""
