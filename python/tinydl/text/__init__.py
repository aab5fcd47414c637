"""Text for models: characters as numbers, and data sets."""

from . import dates
