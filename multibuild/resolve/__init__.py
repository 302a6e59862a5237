"""Which entry of an index a client takes, and what is wrong with an index."""
