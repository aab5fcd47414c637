"""Benchmarks of the installed package against its peers: `python -m bench`."""
