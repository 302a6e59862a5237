"""Gates: what every child must pass after its proofs and before any tag moves."""
