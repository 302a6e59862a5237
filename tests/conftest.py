"""Settings of every test."""

import gc
import os
import signal

# A run in the background of a shell ignores SIGINT, and every process that it starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# As nohup does with SIGHUP; a handler, unlike SIG_IGN, is not inherited, and the tests themselves go on.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

# Tests start thousands of processes: without bytecode, each compiles the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_finish():
    """Keep the tests, some ten thousand objects that live to the end, out of every later collection of garbage."""
    gc.collect()
    gc.freeze()
