"""Philox4x32-10 in plain Python integers, after Salmon et al. 2011, section 3.3 and table 2."""

from __future__ import annotations

WORD = 0xFFFFFFFF


def philox4x32_10(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    x0, x1, x2, x3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * x0, 1 << 32)
        high1, low1 = divmod(0xCD9E8D57 * x2, 1 << 32)
        x0, x1, x2, x3 = high1 ^ x1 ^ k0, low1, high0 ^ x3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return x0, x1, x2, x3


def words(count: int, seed: int, offset: int) -> list[int]:
    """The first `count` words of a draw."""
    out: list[int] = []
    for block in range((count + 3) // 4):
        counter = (offset + block) % (1 << 64)
        out += philox4x32_10((counter & WORD, counter >> 32, 0, 0), (seed & WORD, seed >> 32))
    return out[:count]
