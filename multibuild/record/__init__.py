"""The journal while it happens, the report when it ends."""
