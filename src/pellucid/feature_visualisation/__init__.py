"""Pictures of what a network looks for: objectives, images, transforms and optimisers, chosen independently."""

from pellucid.feature_visualisation.dream import dream
from pellucid.feature_visualisation.objectives import Objective, described, parse
from pellucid.feature_visualisation.recipe import RECIPES, Recipe
from pellucid.feature_visualisation.settings import RunSettings
from pellucid.feature_visualisation.visualisation import Visualisation

__all__ = ["RECIPES", "Objective", "Recipe", "RunSettings", "Visualisation", "described", "dream", "parse"]
