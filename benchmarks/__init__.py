"""Speed and memory against peers: `make bench`."""
