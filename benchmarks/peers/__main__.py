"""`python -m benchmarks.peers [ROW...]`: measure taskq and its peers side by side, each figure beside its goal."""

from __future__ import annotations

from functools import partial

from benchmarks.peers.contenders import PEERS
from benchmarks.peers.rows import ROWS
from benchmarks.table import Row, print_table


def main() -> None:
    """Leave out who is not installed, and say so; run the rows that were asked for."""
    peers = [peer for peer in PEERS if not peer.missing]
    for peer in PEERS:
        if peer.missing:
            print(f"left out: {peer.name}, {peer.missing}")
    rows: dict[str, Row] = {name: partial(row, peers) for name, row in ROWS.items()}
    print_table(rows, program="benchmarks.peers", rounds=3, packages=[peer.package for peer in peers])


main()
