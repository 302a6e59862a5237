"""The proof of content: the programs in an image's layers are for its platform."""
