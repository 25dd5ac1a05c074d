"""taskq beside its peers: `python -m benchmarks.peers`, in the environment that `make bench-peers` makes."""
