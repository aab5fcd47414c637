"""What `tinydl generate` does."""

from __future__ import annotations

import time
from typing import Any

import click

from .train.recipes import RECIPES, TextRecipe

__all__ = ["write", "writers"]


def writers() -> dict[str, TextRecipe]:
    """The recipes whose models write, by name."""
    return {name: recipe for name, recipe in RECIPES.items() if isinstance(recipe, TextRecipe)}


def write(recipe: Any, checkpoint: str, prompt: str, length: int, **options: Any) -> None:
    """Print a prompt and how the model of a checkpoint goes on with it, piece by piece, and its speed to stderr.

    Raises:
        ValueError: the recipe's models do not write, the checkpoint is of another model, or the prompt has characters
            that the model does not know. OSError: the file cannot be read.
    """
    if not isinstance(recipe, TextRecipe):
        raise ValueError(f"{recipe.name} writes no text; those that do: {', '.join(writers())}")
    model = recipe.load(checkpoint)
    pieces = model.write(prompt, length, **options)
    click.echo(prompt, nl=False)
    begin = time.perf_counter()
    for piece in pieces:
        click.echo(piece, nl=False)
    seconds = time.perf_counter() - begin
    click.echo()
    if length:
        click.echo(f"{length} tokens in {seconds:.2f} s, {length / seconds:,.0f} tokens/s", err=True)
