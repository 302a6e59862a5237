"""Emulation: binfmt_misc handlers, probe programs, and why a platform does not run."""
