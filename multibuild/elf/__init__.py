"""ELF files: the machine they are for, read from untrusted bytes."""
