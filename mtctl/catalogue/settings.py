"""From what a user calls a balancing method to the method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import ValidationError

from mtctl.balancing.contract import Method
from mtctl.balancing.errors import BalanceError
from mtctl.balancing.registry import KINDS
from mtctl.part import MisfitError
from mtctl.yaml.mistakes import closest, suggestion

Spec = str | Method | Mapping[str, object] | Sequence["Spec"]
"""A kind; a method; what a recipe says under `balancer:`; or several of these in a row, a chain."""


def described(spec: Spec, settings: Mapping[str, object]) -> tuple[Method, ...]:
    """Return the methods of a chain, or the only one.

    Args:
        spec: what the user named.
        settings: of a method that is named by its kind.

    Raises:
        BalanceError: there is no such method, or it has no such setting; with the closest.
    """
    if isinstance(spec, str):
        return (_method({"kind": spec, **settings}),)
    if settings:
        raise BalanceError(
            f"{', '.join(settings)}: settings need a method that is named by its kind",
            hint=f"write it as {{'kind': …, {next(iter(settings))!r}: …}}",
        )
    if isinstance(spec, Method):
        return (spec,)
    if isinstance(spec, Mapping):
        return (_method(spec),)
    if isinstance(spec, Sequence) and spec:
        return tuple(method for one in spec for method in described(one, {}))
    raise BalanceError(f"balancer: expected a method, got {spec!r}", hint=f"choose from: {', '.join(KINDS)}")


def known_kind(word: object) -> str:
    """Return a method's kind.

    Raises:
        BalanceError: there is no such method; with the closest.
    """
    if isinstance(word, str) and word in KINDS:
        return word
    raise BalanceError(
        f"there is no balancing method {word!r}", hint=suggestion(str(word or ""), list(KINDS))
    )


def refuse_misnamed(methods: Sequence[Method], tasks: tuple[str, ...]) -> None:
    """Raise where a setting that is given by task names other tasks than these.

    Raises:
        BalanceError: with the setting and the names.
    """
    for method in methods:
        for setting, values in method.per_task_values():
            if unknown := [task for task in values if task not in tasks]:
                raise BalanceError(
                    f"{method.kind}: `{setting}` has a value for `{unknown[0]}`, which is not a task",
                    hint=suggestion(unknown[0], tasks),
                )
            if missing := [task for task in tasks if task not in values]:
                raise BalanceError(f"{method.kind}: `{setting}` has no value for {', '.join(missing)}")


def _method(values: Mapping[str, object]) -> Method:
    kind = known_kind(values.get("kind"))
    try:
        return KINDS[kind].model_validate(dict(values))
    except ValidationError as error:
        raise BalanceError(f"{kind}: {'; '.join(_problems(KINDS[kind], error))}") from error


def _problems(method: type[Method], error: ValidationError) -> Iterator[str]:
    known = [name for name in method.model_fields if name != "kind"]
    for detail in error.errors(include_url=False):
        place, value = ".".join(map(str, detail["loc"])), detail["input"]
        if detail["type"] == "extra_forbidden":
            match = closest(place, known)
            yield f"no setting `{place}`: " + (
                f"did you mean `{match}`?" if match else f"there are: {', '.join(known) or 'none'}"
            )
        elif detail["type"] == "missing":
            yield f"`{place}` is missing"
        elif detail["type"] == "value_error" and isinstance(detail["ctx"]["error"], MisfitError):
            yield from (misfit.text for misfit in detail["ctx"]["error"].found)
        else:
            text = detail["msg"].replace("Input should be", "must be")
            yield f"`{place}`: {text[:1].lower()}{text[1:]}, found {value!r}"
