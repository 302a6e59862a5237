"""The report, folded from a journal."""
