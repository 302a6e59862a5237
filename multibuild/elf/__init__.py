"""ELF files: the machine they are for, read from bytes that nobody trusts."""
