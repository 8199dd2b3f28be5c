"""Newsbeam's peers on the same job, in turn: `python -m benchmarks.peers`.

Each peer is a module: how it is set up (`PEERS`), and the program that runs in its own process and,
where its packages clash with ours, in its own environment. What it imports at its head is therefore
nothing but Python's own library and `peer`, `texts_job` or `environments`.
"""
