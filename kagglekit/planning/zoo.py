"""The networks of a zoo: which, and the plan of each alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kagglekit.planning.overrides import apply_overrides
from kagglekit.system.errors import UsageError, UserError

if TYPE_CHECKING:
    from kagglekit.hooks.calls import Hooks
    from kagglekit.planning.plan import Plan
    from kagglekit.planning.request import Request
    from kagglekit.types.recipe import Recipe

ONE_NETWORK = ("average", "last")  # ensembles of one training's members


def with_zoo(hooks: Hooks, recipe: Recipe, request: Request) -> Recipe:
    """Return the recipe with the requested networks: the first `request.zoo` of its own, or else of the preset ``zoo``.

    Raises:
        UsageError: There are fewer, or a setting does not fit several networks.
    """
    names = recipe.zoo
    if request.zoo and not request.recipe:
        names = names or hooks.recipe("zoo").zoo
        if request.zoo > len(names):
            raise UsageError(
                f"--zoo {request.zoo}: there are {len(names)} networks ({', '.join(names)})",
                "name more: --set 'zoo=[\"resnet50.a1_in1k\", ...]'",
            )
        names = names[: request.zoo]
    if not names:
        return recipe
    _check(recipe, request, names)
    return recipe.model_copy(update={"zoo": names, "arch": names[0], "licence": "", "exposure": "", "source": ""})


def _check(recipe: Recipe, request: Request, names: Sequence[str]) -> None:
    given = {
        "--arch": any(setting.startswith("arch=") for setting in request.settings),
        "archs": bool(recipe.archs),
        "--from": bool(request.from_run),
        "--full": bool(request.full),
        "--only-fold": request.only_fold is not None,
        "--into": bool(request.into),
    }
    if request.recipe:
        given = {"--full": bool(request.full)}
    if unfit := [option for option, is_given in given.items() if is_given]:
        raise UsageError(f"a zoo of {len(names)} networks cannot be combined with {', '.join(unfit)}")
    if recipe.ensemble in ONE_NETWORK:
        raise UsageError(
            f"ensemble={recipe.ensemble} is of one network, and the zoo has {len(names)}", "--set ensemble=mean"
        )


def networks(plan: Plan) -> list[Plan]:
    """Return the plan of each network: the same images, stages and seed; of a plan without a zoo, that plan.

    Raises:
        UserError: The number of weight files is not the number of networks.
    """
    recipe = plan.recipe
    if not recipe.zoo:
        return [plan]
    return [_alone(plan, arch, file) for arch, file in named(recipe)]


def named(recipe: Recipe) -> list[tuple[str, str]]:
    """Return the name of each network of a recipe, and its file of weights, empty for none.

    Raises:
        UserError: The number of weight files is not the number of networks.
    """
    if not recipe.zoo:
        return [(recipe.arch, recipe.weights)]
    files = recipe.weights.split(",") if recipe.weights else [""] * len(recipe.zoo)
    if len(files) != len(recipe.zoo):
        raise UserError(
            f"{len(recipe.zoo)} networks ({', '.join(recipe.zoo)}) need as many files of weights, not {len(files)}",
            "--set weights=FIRST,SECOND,... in the order of zoo",
        )
    return list(zip(recipe.zoo, files, strict=True))


def _alone(plan: Plan, arch: str, weights: str) -> Plan:
    recipe = apply_overrides(plan.recipe, ["zoo=[]", f"arch={arch}", f"weights={weights}"])
    request = replace(plan.request, recipe=recipe, settings=(), epochs=None, size=None, zoo=None)
    return replace(plan, recipe=recipe, request=request)
