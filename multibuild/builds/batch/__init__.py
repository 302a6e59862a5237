"""Several platforms in one bake process."""
