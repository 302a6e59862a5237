"""The buildx client as a process: run, followed, its failures classified."""
