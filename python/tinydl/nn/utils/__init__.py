"""What works on the parameters of a model."""

from .convert_parameters import parameters_to_vector, vector_to_parameters

__all__ = [
    "parameters_to_vector",
    "vector_to_parameters",
]
