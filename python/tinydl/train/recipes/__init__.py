"""Named training runs: the documents' models with their data, optimisers and schedules, for the command line."""

from __future__ import annotations

from . import dates, images, line, sequence, text
from .dates import DatesRecipe
from .images import ImageRecipe, WarpedImages
from .line import LineRecipe
from .recipe import Recipe
from .sequence import SequenceRecipe
from .text import TextRecipe

__all__ = [
    "RECIPES",
    "DatesRecipe",
    "ImageRecipe",
    "LineRecipe",
    "Recipe",
    "SequenceRecipe",
    "TextRecipe",
    "WarpedImages",
    "recipe",
]

_ALL: list[Recipe] = [
    *images.RECIPES,
    *line.RECIPES,
    *sequence.RECIPES,
    *text.RECIPES,
    *dates.RECIPES,
]

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ALL}
"""The recipes by name."""


def recipe(name: str) -> Recipe:
    """The recipe of a name; ValueError that lists the known ones where there is none."""
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}; known: {', '.join(RECIPES)}")
    return RECIPES[name]
