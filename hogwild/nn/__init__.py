"""Normalisation layers for asynchronous training."""

from hogwild.nn.choose import choose_norm as choose_norm
from hogwild.nn.convert import convert_full_norm as convert_full_norm
from hogwild.nn.full_norm import FullNorm1d as FullNorm1d
from hogwild.nn.full_norm import FullNorm2d as FullNorm2d
from hogwild.nn.full_norm import FullNorm3d as FullNorm3d
