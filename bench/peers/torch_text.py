"""The language models of `tinydl.models` in plain PyTorch, from their weights; `run(ids, state)` takes steps."""

from __future__ import annotations

from typing import Any


def gpt(torch: Any, model: Any) -> Any:
    """A tinydl GPT without dropout."""
    nn, functional = torch.nn, torch.nn.functional
    features, heads = model.features, model.heads
    size = features // heads

    positions = torch.arange(2 * model.context, dtype=torch.float64)  # as many as a cache of ours has room for
    angles = positions[:, None] * 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    dtype = getattr(torch, model.embedding.weight.dtype.name)
    all_cos, all_sin = angles.cos().to(dtype), angles.sin().to(dtype)

    def rotated(x: Any, first: int) -> Any:
        """x (N, H, L, E) with each pair of neighbours turned by the angle of its position."""
        cos, sin = (part[first : first + x.shape[2]] for part in (all_cos, all_sin))
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(features)
            self.qkv = nn.Linear(features, 3 * features)
            self.projection = nn.Linear(features, features)
            self.norm2 = nn.LayerNorm(features)
            self.expand = nn.Linear(features, 4 * features)
            self.reduce = nn.Linear(4 * features, features)

        def forward(self, x: Any, rotary: bool, past: Any) -> Any:
            n, length, _ = x.shape
            q, k, v = self.qkv(self.norm1(x)).view(n, length, 3, heads, size).permute(2, 0, 3, 1, 4)
            first = 0 if past is None else past[0].shape[2]
            if rotary:
                q, k = rotated(q, first), rotated(k, first)
            if past is not None:
                k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=past is None)
            x = x + self.projection(y.transpose(1, 2).reshape(n, length, features))
            return x + self.reduce(functional.gelu(self.expand(self.norm2(x)))), (k, v)

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(model.vocabulary_size, features)
            self.positions = None if model.positions is None else nn.Embedding(model.context, features)
            self.blocks = nn.ModuleList([Block() for _ in model.blocks])
            self.norm = nn.LayerNorm(features)

        def forward(self, ids: Any) -> Any:
            return self.run(ids, None)[0]

        def run(self, ids: Any, past: Any) -> Any:
            """Logits (N, L, V), and the keys and values of every block; after a prompt, one token at a time."""
            x = self.embedding(ids)
            first = 0 if past is None else past[0][0].shape[2]
            if self.positions is not None:
                x = x + self.positions.weight[first : first + ids.shape[1]]
            now = []
            for number, block in enumerate(self.blocks):
                x, pair = block(x, self.positions is None, None if past is None else past[number])
                now.append(pair)
            return self.norm(x) @ self.embedding.weight.T, now

    return with_weights(torch, GPT(), model)


def lstm(torch: Any, model: Any) -> Any:
    """A tinydl LSTMText; in training its steps are a loop, because PyTorch's layer has no recurrent dropout."""
    nn, functional = torch.nn, torch.nn.functional

    class LSTM(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(*model.embedding.weight.shape)
            self.lstm = nn.LSTM(model.lstm.input_size, model.lstm.hidden_size)
            self.head = nn.Linear(model.lstm.hidden_size, model.vocabulary_size)

        def forward(self, ids: Any) -> Any:
            x = self.embedding(ids.t())
            h = self.with_dropout(x) if self.training else self.lstm(x)[0]
            return self.head(h).transpose(0, 1)

        def with_dropout(self, x: Any) -> Any:
            """The states of all steps; each sequence has one mask for its inputs and one for its states."""
            x = x * functional.dropout(x.new_ones(x.shape[1:]), model.dropout)
            h = c = x.new_zeros(x.shape[1], self.lstm.hidden_size)
            mask = functional.dropout(torch.ones_like(h), model.recurrent_dropout)
            states = []
            for part in functional.linear(x, self.lstm.weight_ih_l0, self.lstm.bias_ih_l0):
                gates = part + functional.linear(h * mask, self.lstm.weight_hh_l0, self.lstm.bias_hh_l0)
                i, f, g, o = gates.chunk(4, 1)
                c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                h = o.sigmoid() * c.tanh()
                states.append(h)
            return torch.stack(states)

        def run(self, ids: Any, state: Any) -> Any:
            """Logits (N, L, V), and (h, c)."""
            h, state = self.lstm(self.embedding(ids.t()), state)
            return self.head(h).transpose(0, 1), state

    return with_weights(torch, LSTM(), model)


def with_weights(torch: Any, theirs: Any, model: Any) -> Any:
    """A PyTorch module with the dtype and the parameters of a tinydl model."""
    theirs.to(getattr(torch, model.embedding.weight.dtype.name))
    theirs.load_state_dict({name: torch.tensor(p.numpy()) for name, p in model.state_dict().items()})
    return theirs
