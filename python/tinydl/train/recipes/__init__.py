"""Named training runs: the documents' models with their data, optimisers and schedules, for the command line."""

from __future__ import annotations

from . import images, line, text
from .images import ImageRecipe, WarpedImages
from .line import LineRecipe
from .recipe import Recipe
from .text import TextRecipe

__all__ = ["RECIPES", "ImageRecipe", "LineRecipe", "Recipe", "TextRecipe", "WarpedImages", "recipe"]

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in [*images.RECIPES, *line.RECIPES, *text.RECIPES]}
"""The recipes by name."""


def recipe(name: str) -> Recipe:
    """The recipe of a name; ValueError that lists the known ones where there is none."""
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}; known: {', '.join(RECIPES)}")
    return RECIPES[name]
