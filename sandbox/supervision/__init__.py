"""Starts all programs of a sandbox, watches over them, ends them."""
