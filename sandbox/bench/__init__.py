"""What `make bench` measures of the sandbox itself."""
