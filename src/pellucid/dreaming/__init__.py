"""Pictures of what a network looks for: objectives, images, transforms and optimisers, chosen independently."""

from pellucid.dreaming.catalogue import described
from pellucid.dreaming.dream import RECIPES, Dream, Recipe, dream
from pellucid.dreaming.objectives import Objective, parse

__all__ = ["RECIPES", "Dream", "Objective", "Recipe", "described", "dream", "parse"]
