"""Which entry of an index a client picks, and lint rules for an index."""
