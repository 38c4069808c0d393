"""The pages on balancing methods: what `mtctl explain` shows, a page for each, and a list."""

from __future__ import annotations

from collections.abc import Iterator

from docs.rendering.text import code, fenced, keys, page, prose, table
from mtctl.catalogue.cards import Card, card
from mtctl.catalogue.families import families
from mtctl.screens.methods import clauses

_INDEX = """\
# Balancing methods

A balancing method decides what each task contributes to the step on the parameters that tasks share. It
sees the tasks' losses and, if it asks for them, the lengths of their gradients or the angles between them.
Every page says what the method computes, what that costs, when it helps and when it fails. In the terminal,
`mtctl explain METHOD` shows the same.

None of them cures everything. A task whose target is out of its head's reach, or whose labels are wrong,
learns under no method at all. [Find out first](../why.md) whether the other tasks are the reason.

In a recipe a method stands under `balancer:`, on the command line it is `--balancer KIND` or `-o
balancer=KIND`, in [a loop of your own](../own_loop.md) `mtctl.Balancer("KIND")`. A list of methods is a
chain, in which each sees losses and gradients as the ones before have weighted them:

```yaml
balancer: [{kind: gradnorm, alpha: 0.5}, {kind: pcgrad}]
```

Methods are pure functions from losses and the Gramian of the tasks' gradients to weights, so that they
chain exactly, and every run logs losses, weights, gradient norms, cosines and the conflict rate, whatever
its method. [Speed and memory](../speed.md) has what they cost; `mtctl bench` measures it on your machine."""


def method_pages() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each page."""
    groups = families()
    yield "methods/index.md", page(_INDEX, *(_group(name, kinds) for name, kinds in groups.items()))
    for kinds in groups.values():
        for kind in kinds:
            yield f"methods/{kind}.md", _method(card(kind))


def method_nav() -> list[object]:
    """Return the entries of the navigation: methods by what they look at."""
    return [
        {_short(name): [{kind: f"methods/{kind}.md"} for kind in kinds]} for name, kinds in families().items()
    ]


def _short(family: str) -> str:
    name = family.rstrip(".").removeprefix("Methods that use ")
    return name[:1].upper() + name[1:]


def _group(name: str, kinds: dict[str, str]) -> str:
    rows = ((f"[{kind}]({kind}.md)", prose(summary)) for kind, summary in kinds.items())
    return f"## {prose(name.rstrip('.'))}\n\n{table(('method', 'what it does'), rows)}"


def _method(method: Card) -> str:
    facts = {
        "Helps": method.helps,
        "Fails": method.fails,
        "Costs": method.cost,
        "Acts on": method.acts_on,
        "Source": method.source,
    }
    return page(
        f"# {method.kind}",
        prose(method.summary),
        fenced((clause for line in method.equation for clause in clauses(line)), "{.text .wrap}"),
        *map(prose, method.about),
        table(("", ""), ((f"**{name}**", prose(fact)) for name, fact in facts.items() if fact)),
        _settings(method),
        _use(method),
    )


def _settings(method: Card) -> str:
    if not method.settings:
        return "## Settings\n\nIt has none."
    rows = (
        (
            code(setting.name),
            code(setting.default) or "required",
            prose(setting.meaning)
            + (f" One of {', '.join(map(code, setting.choices))}." if setting.choices else ""),
        )
        for setting in method.settings
    )
    return f"## Settings\n\n{keys(('setting', 'default', 'meaning'), rows)}"


def _use(method: Card) -> str:
    required = [setting.name for setting in method.settings if not setting.default]
    given = "".join(f", {name}: {{depth: 0.7, normals: 0.3}}" for name in required)
    arguments = "".join(f', {name}={{"depth": 0.7, "normals": 0.3}}' for name in required)
    recipe = fenced([f"balancer: {{kind: {method.kind}{given}}}"], "yaml")
    loop = fenced([f'balancer = mtctl.Balancer("{method.kind}"{arguments})'], "python")
    return f"## In a recipe, and in a loop of your own\n\n{recipe}\n\n{loop}"
