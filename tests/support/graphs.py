"""A stand-in for CUDA graphs where there is no GPU: what asks for them, without captures."""

import types

from tinydl import capture, cuda


class Graphs:
    """Stands for `make_graphed_step` where there is no GPU: the function itself. What it was asked for."""

    def __init__(self, monkeypatch, device):
        self.captures, self.parameters, self.pools, self.replays = [], [], [], 0
        self.stale = False  # whether the next replay finds itself stale
        if device != "cuda":
            monkeypatch.setattr(cuda, "make_graphed_step", self.make)

    def make(self, function, samples, parameters, num_warmup_iters, pool):
        assert num_warmup_iters == 0
        self.captures.append([t.shape for t in samples])
        self.parameters.append(parameters)
        self.pools.append(pool)

        def step(*args):
            if self.stale:
                self.stale = False
                raise capture.StaleGraphError("capture again")
            self.replays += 1
            return function(*args)

        step.graph = types.SimpleNamespace(pool=lambda: "the first one's")
        return step
