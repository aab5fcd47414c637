"""What scripts ask about NVIDIA's devices, of which this build has none."""

from __future__ import annotations


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: `tinydl.manual_seed` seeds the library."""


def manual_seed_all(seed: int) -> None:
    """Nothing: `tinydl.manual_seed` seeds the library."""


def empty_cache() -> None:
    """Nothing: `tinydl.empty_cache` returns the library's memory."""
