"""The rows that --quick times: of each kind of work one size in the caches and one beyond, and those of training."""

from __future__ import annotations

import re

# family: what the names of its rows match from end to end; of families that are not here, none
ROWS = {
    "conv": r"conv (cnn [23]|alexnet 3) .*|conv (cnn 1|alexnet [12]) forward",
    "elementwise": r"(add|relu|relu_backward) \d+",
    "limits": r".*",
    "loss": r"cross-entropy \((128, 10|32768, 1000)\)( backward)?",
    "matmul": r"matmul (16|32|64|128|512|1024|2048|4096|17|127) x \d+ x \d+"  # also 64 rows by large matrices
    r"|matmul (1 x 512|8 x 256|33 x 65|32 x 576|128 x 5408|128 x 784|4096 x 64) x \d+"
    r"|matmul (512 x 512 x 512|32 x 576 x 64), (first|second) transposed"
    r"|matmul (96 of 128 x 64 x 128|128 of .*|1000 of .*)|matmul bfloat16 (1024|2048) .*",
    "models": r"CNN .*",
    "norm": r"(batch norm \((128, 64|64, 64), .*|layer norm \((128|16384), .*)",
    "optimizer": r"Adam step, (93322|60000000) .*|SGD, momentum step, 60000000 .*",
    "overhead": r".*",
    "pool": r"(max, recorded|max backward|average|average backward) 2/2 \((32, 64, 11|128, 64, 56), .*",
    "random": r"dropout(_backward)? \d+",
}


def in_quick(family: str, name: str) -> bool:
    """Whether --quick times the row."""
    return bool(re.fullmatch(ROWS.get(family, "(?!)"), name))
