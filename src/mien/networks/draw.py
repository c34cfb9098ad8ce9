"""Drawings of recipes' networks before anything is trained. Knows nothing about runs."""

import torch

from mien.networks import build
from mien.networks.cost import describe
from mien.pages import drawing
from mien.pages.figures import Figures, drawn, themed
from mien.pages.theme import series
from mien.recipe import Recipe


def draw(*recipes: Recipe, side: int = 48, classes: int = 7) -> Figures:
    """Build each recipe's network for faces of `side` pixels, draw all on one scale and return the figures.

    Raises MissingExtra without matplotlib.
    """
    with torch.random.fork_rng(devices=[]):
        networks = [describe(build(recipe.network, side=side, classes=classes), side) for recipe in recipes]
    figures = []
    with themed():
        for number, (recipe, network) in enumerate(zip(recipes, networks, strict=True)):
            look = {"side": side, "most_channels": drawing.widest(networks), "color": series(number)[0]}
            stages = ", ".join(stage["label"] for stage in network["stages"])
            figure = drawing.network(recipe.name, network, **look)
            figures.append(drawn(figure, f"network-{recipe.name}", f"Drawing of {recipe.name}: {stages}"))
    return Figures(figures)
