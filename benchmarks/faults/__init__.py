"""Planted faults: recipes of the windows problem with something that keeps a task from learning."""

from benchmarks.faults.problem import PlantedWindows
from benchmarks.faults.recipe import PlantedProblem, PlantedRecipe, planted

__all__ = ["PlantedProblem", "PlantedRecipe", "PlantedWindows", "planted"]
