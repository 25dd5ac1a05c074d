"""taskq beside the least that could be done in its place: ratios, each side by side in one run."""
