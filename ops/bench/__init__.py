"""Times of Slipway against its peers: `python -m ops.bench` (`make bench`)."""
