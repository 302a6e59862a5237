"""The several images of one file: their names, their keys, and what they are to each other."""
