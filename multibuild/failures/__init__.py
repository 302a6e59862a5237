"""What the end of a build means: its evidence, the classes of failures, and the signatures that tell them apart."""
