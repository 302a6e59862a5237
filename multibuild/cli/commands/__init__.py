"""The commands and their options: each function parses, calls one function of `multibuild.cli`, and exits."""
