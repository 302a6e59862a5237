"""How a run is shown while it happens."""
