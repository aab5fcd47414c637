"""Mixed precision: `autocast` computes in 16 bits what bears it, and `GradScaler` keeps small gradients in range.

>>> import tinydl
>>> model = tinydl.nn.Linear(3, 1)
>>> optimizer = tinydl.optim.SGD(model.parameters(), lr=0.1)
>>> scaler = GradScaler("cpu")
>>> with autocast("cpu", dtype=tinydl.bfloat16):
...     loss = tinydl.nn.functional.mse_loss(model(tinydl.ones(8, 3)), tinydl.zeros(8, 1))
>>> scaler.scale(loss).backward()
>>> scaler.step(optimizer)
>>> scaler.update()
"""

from ..ops.autocast import autocast, get_autocast_dtype, is_autocast_enabled
from .grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "get_autocast_dtype", "is_autocast_enabled"]
