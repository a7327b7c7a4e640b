"""Adapters for outside systems: typed results, timeouts, one family of errors (adapters/errors.py), no Django."""
