"""What makes one index of what several runs, or one before, have built."""
