"""The site: every page is in it, generated ones say what the code says, and nothing comes from elsewhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.rendering import decisions, pages, text
from mtctl.balancing.registry import KINDS
from mtctl.catalogue.cards import card
from mtctl.catalogue.settings import described
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.explanations import EXPLANATIONS
from mtctl.problems.contract import Problem
from mtctl.recipes.builtin import names
from mtctl.recipes.schema import schema
from tests.docs.pages import PAGES, ROOT, fences
from tests.test_layers import PACKAGE, ROOMS

EXPERIMENTS = PACKAGE / "diagnosis" / "experiments"
_LINK = re.compile(r"\]\(([^)#]*)(?:#([\w-]+))?\)")


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return pages.generated()


@pytest.fixture(scope="module")
def site() -> dict[str, Any]:
    configuration: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    return configuration


def entries(nav: object) -> Iterator[str]:
    match nav:
        case str():
            yield nav
        case list() | dict():
            for entry in nav.values() if isinstance(nav, dict) else nav:
                yield from entries(entry)


def test_every_page_has_a_line_in_the_navigation(site: dict[str, Any], generated: dict[str, str]) -> None:
    written = {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.name != "README.md"}
    methods = {f"methods/{kind}.md" for kind in KINDS}
    listed = sorted(entries(site["nav"]))
    assert listed == sorted(written | generated.keys() - methods), "add the page to `nav` in mkdocs.yml"


def test_links_lead_somewhere(generated: dict[str, str]) -> None:
    written = {page.relative_to(ROOT / "docs").as_posix(): page.read_text() for page in PAGES[1:]}
    known = {**written, **generated}
    for name, page in known.items():
        for target, anchor in _LINK.findall(re.sub(r"```.*?```|`[^`]*`", "", page, flags=re.DOTALL)):
            if target.startswith("https://"):
                continue
            place = (Path("/") / Path(name).parent / target).resolve().relative_to("/").as_posix()
            assert not target or place in known, f"{name}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", known[place if target else name], flags=re.MULTILINE)
                assert anchor in {heading.lower().replace(" ", "-") for heading in headings}, (
                    f"{name}: #{anchor}"
                )


def test_nothing_comes_from_elsewhere(site: dict[str, Any]) -> None:
    """Material would load a font from Google, and plugins may ask the network for inventories or scripts."""
    assert site["theme"]["font"] is False
    plugins = [plugin if isinstance(plugin, str) else next(iter(plugin)) for plugin in site["plugins"]]
    assert plugins == ["search", "mkdocstrings"]
    assert "inventories" not in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_a_method_has_a_page(kind: str, generated: dict[str, str]) -> None:
    page, method = generated[f"methods/{kind}.md"], card(kind)
    shown = page.replace("\\", "")
    assert "".join("".join(method.equation).split()) in "".join(page.split())
    for said in (method.summary, *method.about, method.helps, method.fails, method.cost, method.source):
        assert said.replace("\\", "") in shown
    assert all(f"| `{setting.name}` |" in page for setting in method.settings)
    (recipe,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    (method_of_it,) = described(yaml.safe_load(recipe)["balancer"], {})
    assert type(method_of_it) is KINDS[kind]
    (line,) = re.findall(r"balancer = mtctl\.Balancer\((.*)\)\n", page)
    arguments = ast.parse(f"f({line})", mode="eval").body
    assert isinstance(arguments, ast.Call)
    settings = {one.arg: ast.literal_eval(one.value) for one in arguments.keywords if one.arg}
    assert described(ast.literal_eval(arguments.args[0]), settings) == (method_of_it,)


def test_every_method_is_in_the_list(generated: dict[str, str]) -> None:
    assert all(f"[{kind}]({kind}.md)" in generated["methods/index.md"] for kind in KINDS)


def test_findings_are_explained(generated: dict[str, str]) -> None:
    page = generated["findings.md"]
    assert re.findall(r"^## (.*)$", page, flags=re.MULTILINE) == [code.value for code in EXPLANATIONS]
    shown = page.replace("\\", "")
    assert all(each.measured in shown and each.refuted_by in shown for each in EXPLANATIONS.values())


def test_every_recipe_and_every_key_is_there(generated: dict[str, str]) -> None:
    assert all(f"\n### {name}\n" in generated["recipes/built_in.md"] for name in names())
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", generated["recipes/keys.md"], flags=re.MULTILINE)
    assert all(kind for _, kind in rows)
    methods = {method.__name__ for method in KINDS.values()}
    document = schema()
    parts = [part for name, part in document["$defs"].items() if name not in methods]
    keys = [key for part in (*document["anyOf"], *parts) for key in part.get("properties", {})]
    assert [key for key, _ in rows] == keys


def codes_in(module: str) -> set[Code]:
    """Return the findings that a module can make, by the names in it."""
    tree = ast.parse((EXPERIMENTS / f"{module}.py").read_text(encoding="utf-8"))
    return {
        Code[node.attr]
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Code"
    }


@pytest.mark.parametrize("part", decisions.PARTS, ids=lambda part: part.title)
def test_the_picture_names_what_experiments_can_find(part: decisions.Part) -> None:
    named = {code for question in part.questions for code in question.codes}
    assert named <= set().union(*map(codes_in, part.modules))
    titles = {other.title for other in decisions.PARTS}
    assert {question.then for question in part.questions} - {""} <= titles


def test_the_picture_names_all_that_experiments_can_find() -> None:
    named = {code for part in decisions.PARTS for question in part.questions for code in question.codes}
    modules = {path.stem for path in EXPERIMENTS.glob("*.py")} - {"recorded", "variations", "remedies"}
    assert named == set().union(*map(codes_in, modules))
    assert {module for part in decisions.PARTS for module in part.modules} <= modules


def test_the_picture_has_a_place_and_fits_it() -> None:
    page = next(page for page in PAGES if page.stem == "why").read_text(encoding="utf-8")
    assert page.count(decisions.PLACE) == 1
    for drawing in decisions.picture().split("<svg ")[1:]:
        width = int(re.findall(r'viewBox="0 0 (\d+) ', drawing)[0])
        boxes = re.findall(r'<rect class="\w+" x="(\d+)" y="\d+" width="(\d+)"', drawing)
        assert len(boxes) > len(decisions.PARTS)
        assert all(int(left) + int(wide) <= width for left, wide in boxes)


def test_how_it_is_built_names_all_folders_and_the_whole_contract() -> None:
    page = next(page for page in PAGES if page.stem == "building")
    folders = {room for room in ROOMS if (PACKAGE / room).is_dir()}
    _, listed, contract, *_ = fences(page, "text")
    assert re.findall(r"\w+", listed) == [room for room in ROOMS if room in folders]
    methods = {name for name, value in vars(Problem).items() if callable(value) and not name.startswith("_")}
    rows = [re.split(r"  +", line)[0] for line in contract.splitlines()]
    assert {name for row in rows for name in row.split(", ")} == methods


def test_sessions_of_docstrings_are_code() -> None:
    docstring = "Adds.\n\n>>> add(1)     # doctest: +SKIP\n2\n\nMore."
    assert text.sessions(docstring) == "Adds.\n\n```pycon\n>>> add(1)\n2\n```\n\nMore."


def test_text_is_shown_as_it_is() -> None:
    assert text.prose("a_b *c* `d_e|f` |g|") == r"a\_b \*c\* `d_e|f` \|g\|"
