"""How much of a batch is worked on at a time on a processor."""

CACHED_BYTES = 8 * 2**20
"""Of the largest map among them, such as the hidden map of an MLP. On an EPYC of 1 MiB a core in
L2 and 32 MiB in L3, 4 and 16 MiB were equal or slower, 2 MiB and the whole map much slower."""
