"""What a manifest is, and what tells the entries of an index apart."""
