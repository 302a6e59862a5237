"""The proof of content: programs in the layers are of the platform."""
