"""The first stage of a run: makes builders and emulators ready."""
