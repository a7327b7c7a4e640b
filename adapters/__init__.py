"""One small module for each outside system: typed results, own timeouts, one family of errors, no Django."""
