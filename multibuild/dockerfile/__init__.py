"""What a Dockerfile says, and what its build context holds."""
