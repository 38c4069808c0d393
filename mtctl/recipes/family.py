"""Which family of recipes a tree belongs to: `problem.kind` decides; where it cannot, the other keys do."""

from __future__ import annotations

from mtctl.problems.kinds import KINDS
from mtctl.problems.recipe import Recipe
from mtctl.yaml.mistakes import closest
from mtctl.yaml.nodes import Mapping, Node, child


def recipe_class(*trees: Node) -> type[Recipe]:
    """Return the models that a recipe is checked by.

    Args:
        trees: the recipe, or a child and its parents: the first whose `problem.kind` is known, or nearly so,
            decides; without one, the family that knows most of the keys at the top.
    """
    for tree in trees:
        kind = _kind(tree)
        if kind is not None and (known := closest(kind, KINDS)):
            return KINDS[known].recipe
    keys = {key for tree in trees if isinstance(tree, Mapping) for key in tree.entries}
    families = [kind.recipe for kind in KINDS.values()]
    return max(families, key=lambda family: len(family.model_fields.keys() & keys))


def _kind(tree: Node) -> str | None:
    problem = child(tree, "problem")
    return problem.node.text("kind") if problem is not None and isinstance(problem.node, Mapping) else None
