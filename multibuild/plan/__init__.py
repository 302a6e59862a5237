"""What a run is: every decision, as values."""
