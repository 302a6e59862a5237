"""Settings of every test."""

import signal

# A run in the background of a shell ignores SIGINT, and every process that it starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
