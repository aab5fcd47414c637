"""Peers that work in processes of their own: libraries whose threads would disturb the others' in one process."""
