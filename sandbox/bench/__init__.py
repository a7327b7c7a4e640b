"""The parts of `make bench` that measure the sandbox itself."""
