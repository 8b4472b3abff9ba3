"""Composed recipes, one file each, found by looking: a function that draws, and `RECIPE`, the facts about it.

The function's parameters are its wishes: `draw` makes a dream of an objective, with all that the caller has settled;
`layer`, `layers`, `units` and `picture` are what is to be looked at. Keyword-only parameters are options.
"""

from pellucid.feature_visualisation.recipes.registry import CompositeRecipe, find_composite, recipes, run_composite

__all__ = ["CompositeRecipe", "find_composite", "recipes", "run_composite"]
