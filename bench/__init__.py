"""Benchmarks of the installed package against its peers: `python -m bench`."""

import os

# NumPy's OpenBLAS threads spin for 30 ms after their last work (2^26 ticks) and would take the cores from the next
# contender; 2^18 ticks are 0.1 ms. It is read when NumPy is first imported.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "18")
