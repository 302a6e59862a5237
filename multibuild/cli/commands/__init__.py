"""The commands, a file each: a request with its flags, and a function from it to an exit code."""
