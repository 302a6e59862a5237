"""The report as a page: one self-contained file, no script, no network."""
