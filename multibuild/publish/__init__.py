"""The index composed, pushed, checked, and the tags moved."""
