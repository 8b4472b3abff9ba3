"""Pictures of what a network looks for: objectives, images, transforms and optimisers, chosen independently."""

from pellucid.feature_visualisation.catalogue import described
from pellucid.feature_visualisation.dream import RECIPES, Recipe, Visualisation, dream
from pellucid.feature_visualisation.objectives import Objective, parse

__all__ = ["RECIPES", "Objective", "Recipe", "Visualisation", "described", "dream", "parse"]
