"""A small GPT: a causal Transformer with the norms before the blocks, which predicts each token from those before it.

With x⁰_t = E[token t] (+ P[t] for learned positions) and, for the layers l = 1 ... n,

    a = xˡ⁻¹ + W_o Concat_h softmax(Q_h K_hᵀ / √d + causal mask) V_h,  [Q K V] = W_qkv LN(xˡ⁻¹),
    xˡ = a + W_2 gelu(W_1 LN(a)),

the logits are LN(xⁿ) Eᵀ (biases left out here). So Radford et al. 2019, "Language models are unsupervised multitask
learners" (GPT-2), after Vaswani et al. 2017; rotary positions after Su et al. 2021, "RoFormer".
"""

from __future__ import annotations

from .. import backend, nn
from ..nn import init
from ..nn.functional import dropout, gelu
from ..ops.index import index_of
from ..ops.matmul import linear
from ..ops.self_attention import causal_self_attention, phases_like
from ..tensor import Array, Tensor
from .key_value_cache import BlockWeights, Cache, State, Weights, last_logits
from .language_model import LanguageModel

__all__ = ["GPT"]

POSITIONS = ("rotary", "learned")


class Block(nn.Module):
    """x + Attention(LN(x)), then x + FF(LN(x)); shapes (N, L, features).

    Attributes:
        norm1, qkv, projection: of the attention; qkv is W_Q, W_K and W_V below each other.
        norm2, expand, reduce: of the feed-forward network, whose inner width is four times the features.
    """

    def __init__(self, features: int, heads: int, window: int | None, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.dropout = dropout
        self.norm1 = nn.LayerNorm(features)
        self.qkv = nn.Linear(features, 3 * features)
        self.projection = nn.Linear(features, features)
        self.norm2 = nn.LayerNorm(features)
        self.expand = nn.Linear(features, 4 * features)
        self.reduce = nn.Linear(4 * features, features)

    def forward(self, x: Tensor, phases: Array | None = None) -> Tensor:
        """The block's output; `phases` turn queries and keys."""
        p = self.dropout if self.training else 0.0
        qkv = self.qkv
        y = causal_self_attention(self.norm1(x), qkv.weight, qkv.bias, self.heads, phases, self.window, p)
        x = x + dropout(self.projection(y), p)
        return x + dropout(self.reduce(gelu(self.expand(self.norm2(x)))), p)

    def arrays(self) -> BlockWeights:
        """The parameters as a cache wants them."""
        layers = self.norm1, self.qkv, self.projection, self.norm2, self.expand, self.reduce
        return BlockWeights(*[_pair(layer) for layer in layers])


class GPT(LanguageModel):
    """P(x_t | x_1 ... x_{t-1}) by a causal Transformer: ids (N, L) to logits (N, L, V).

    The logits use the table of the embedding (Press and Wolf 2017), as GPT-2's do: in a model this small an output
    table of its own would only add parameters. Weights are drawn from a normal distribution of deviation 0.02, those
    that end a residual branch (projection, reduce) with 0.02/√(2 layers); biases are 0 (Radford et al. 2019).

    With rotary positions a token sees the last `context` tokens, itself included, however long the sequence is; with
    learned ones a sequence has at most `context` tokens.

    Args:
        vocabulary_size: V.
        context: how many tokens a token sees, itself included.
        layers: the number of blocks.
        heads: the heads of each attention, which divide the features.
        features: the width of the residual stream.
        dropout: the probability, in training, of zeroing an element of the embeddings, of what a branch adds, and of
            the attention's weights. Small texts overfit: 0.1 to 0.2 helps there.
        position: "rotary" (no parameters) or "learned" (a table of `context` rows).

    Attributes:
        embedding: the table of the tokens, (V, features).
        positions: the table of the positions, (context, features), or None.
        blocks: the blocks.
        norm: the last norm.

    Raises ValueError where a size is below 1, the heads do not divide the features, rotary positions meet heads of odd
    width, or the position is of another name.

    >>> import tinydl
    >>> model = GPT(65, context=16, layers=2, heads=2, features=8)
    >>> model(tinydl.tensor([[1, 2, 3], [4, 5, 6]])).shape
    (2, 3, 65)
    >>> logits, state = model.step(tinydl.tensor([[1, 2]]))
    >>> logits, state = model.step(tinydl.tensor([[3]]), state)
    >>> logits.shape, state.seen
    ((1, 65), 3)
    """

    def __init__(
        self,
        vocabulary_size: int,
        context: int = 256,
        layers: int = 4,
        heads: int = 4,
        features: int = 128,
        dropout: float = 0.0,
        position: str = "rotary",
    ) -> None:
        super().__init__()
        sizes = {
            "vocabulary_size": vocabulary_size,
            "context": context,
            "layers": layers,
            "heads": heads,
            "features": features,
        }
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"GPT: got {name}={size}, wanted at least 1")
        if features % heads:
            raise ValueError(f"GPT: got features={features} and heads={heads}, wanted heads that divide them")
        if position not in POSITIONS:
            raise ValueError(f"GPT: got position {position!r}, wanted 'rotary' or 'learned'")
        if position == "rotary" and features // heads % 2:
            raise ValueError(f"GPT: got heads of {features // heads} features, wanted an even number with 'rotary'")
        if not 0 <= dropout <= 1:
            raise ValueError(f"GPT: got dropout={dropout}, wanted a probability in [0, 1]")
        self.vocabulary_size = vocabulary_size
        self.context = context
        self.heads = heads
        self.features = features
        self.dropout = dropout
        self.embedding = nn.Embedding(vocabulary_size, features)
        self.positions = nn.Embedding(context, features) if position == "learned" else None
        self.blocks = nn.ModuleList([Block(features, heads, context, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(features)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        ends = 0.02 / (2 * len(self.blocks)) ** 0.5
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                init.normal_(parameter, 0.0, ends if ".projection." in name or ".reduce." in name else 0.02)
            elif name.endswith(".bias"):
                init.zeros_(parameter)
            else:
                init.ones_(parameter)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (N, L, V) of each position's next token, from ids (N, L).

        Raises ValueError for ids of another number of axes, and for more than `context` of them with learned positions;
        IndexError for an id that is no token; TypeError for ids that are no int64 or int32.
        """
        length = _checked_ids("GPT", ids).shape[1]
        x = self.embedding(ids)
        phases = None
        if self.positions is None:
            phases = phases_like(x._data, 0, length, self.features // self.heads, self.heads)
        else:
            self._check_room("GPT", length)
            x = x + self.positions.weight[:length]
        x = dropout(x, self.dropout, self.training)
        for block in self.blocks:
            x = block(x, phases)
        return linear(self.norm(x), self.embedding.weight)

    def step(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits (N, V) of the token after ids (N, L), and the state from which the next step goes on.

        The keys and values of what was seen are kept, so that a step costs the work of its own tokens alone. The logits
        are those of `forward` over all tokens so far, without dropout and off the tape. States stay as they are: a
        second step from one copies what both share. Begin anew after training: a state is of the weights of its time.

        Args:
            ids: the tokens that follow those the state has seen, at least one.
            state: what the step before returned; None at the beginning.

        Raises:
            ValueError: there is no token, the batch is not the state's, the state is another model's, or more than
                `context` tokens meet learned positions.
            TypeError: the ids are no int64 or int32, or the state is none.
            IndexError: an id is no token.
        """
        op = "GPT.step"
        index = _checked_ids(op, ids)
        batch, length = index.shape
        if not length:
            raise ValueError(f"{op}: got ids of shape {index.shape}, wanted at least one token")
        if state is None:
            state = State(self, Cache(self._weights(), batch, self.heads, self.context), 0, 0)
        else:
            self._check_state(op, state, batch)
        weights, seen = state.cache.weights, state.seen
        x = backend.of(weights.table).embedding(weights.table, index)
        if weights.positions is not None:
            self._check_room(op, seen + length)
            x += weights.positions[seen : seen + length]
        for at in range(0, length, self.context):
            y, state = state.advance(x if length <= self.context else x[:, at : at + self.context])
        return Tensor(last_logits(weights, y)), state

    def _weights(self) -> Weights:
        positions = None if self.positions is None else self.positions.weight._data
        blocks = [block.arrays() for block in self.blocks]
        return Weights(self.embedding.weight._data, positions, blocks, _pair(self.norm))

    def _check_room(self, op: str, length: int) -> None:
        if length > self.context:
            raise ValueError(
                f"{op}: got {length} tokens in all, but learned positions end at context={self.context}; begin anew "
                "with the last of them (state=None), or make the model with position='rotary'"
            )

    def _check_state(self, op: str, state: State, batch: int) -> None:
        if not isinstance(state, State):
            raise TypeError(f"{op}: got a state of {type(state).__name__}, wanted what a step of this model returned")
        if state.model is not self:
            raise ValueError(f"{op}: got the state of another model")
        if state.cache.batch != batch:
            raise ValueError(f"{op}: got ids for {batch} sequences and the state of {state.cache.batch}")

    def extra_repr(self) -> str:
        """The sizes."""
        position = "rotary" if self.positions is None else "learned"
        return f"context={self.context}, heads={self.heads}, dropout={self.dropout}, position={position!r}"


def _checked_ids(op: str, ids: Tensor) -> Array:
    index = index_of(op, ids)
    if index.ndim != 2:
        raise ValueError(f"{op}: got ids of shape {index.shape}, wanted (N, L)")
    return index


def _pair(layer: nn.Linear | nn.LayerNorm) -> tuple[Array, Array]:
    """A layer's weight, (inputs, outputs) if it is a matrix, and its bias."""
    weight, bias = layer.weight, layer.bias
    if weight is None or bias is None:
        raise ValueError("GPT.step: the layers' weights and biases must be there")
    return weight._data.T, bias._data
