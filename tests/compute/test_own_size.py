"""Stages that take the size that a network's weights were trained at."""

from __future__ import annotations

from dataclasses import replace

from kagglekit import Recipe, Stage
from kagglekit.compute.network import with_own_sizes
from kagglekit.planning.overrides import apply_overrides, size_settings
from kagglekit.types.data_config import DataConfig
from kagglekit.types.presets import features_recipe


def of_size(size: int) -> DataConfig:
    return DataConfig((0.5,) * 3, (0.5,) * 3, size=size)


RECIPE = Recipe(arch="a", stages=(Stage(name="a", size=128), Stage(name="b", size=160)))


def test_the_features_preset_takes_the_networks_own_size_where_it_is_known():
    features = features_recipe(RECIPE)
    assert with_own_sizes(features, of_size(224)).sizes == (224, 288)
    assert with_own_sizes(features, of_size(0)).sizes == (160, 206)
    assert not with_own_sizes(features, of_size(0)).stages[0].own_size
    assert with_own_sizes(RECIPE, of_size(224)) is RECIPE


def test_a_network_that_must_be_told_its_size_sees_one_size():
    fixed = replace(of_size(224), any_size=False)
    assert with_own_sizes(features_recipe(RECIPE), fixed).sizes == (224,)
    two = apply_overrides(features_recipe(RECIPE), ["stage.1.stack_sizes=[224,320]"])
    assert with_own_sizes(two, fixed).sizes == (224,)


def test_a_size_that_is_asked_for_counts():
    features = features_recipe(RECIPE)
    asked = apply_overrides(features, size_settings(features, 96))
    assert with_own_sizes(asked, of_size(224)).sizes == (96, 123)
    third = apply_overrides(features, ["stage.1.stack_scales=[1,1.5,2]"])
    assert with_own_sizes(third, of_size(224)).stages[0].stack_sizes == (224, 336, 448)
    asked = apply_overrides(features, ["stage.1.stack_sizes=[96]"])
    assert with_own_sizes(asked, of_size(224)).stages[0].stack_sizes == (96,)
    asked = apply_overrides(features, ["stage.1.size=96", "stage.1.solver=regression"])
    assert with_own_sizes(asked, of_size(224)).sizes == (96,)


def test_size_auto_is_the_networks_own():
    assert apply_overrides(RECIPE, ["stage.2.size=auto"]).stages[1].own_size
    stage = Stage(name="s", size="auto")  # type: ignore[arg-type]
    assert (stage.own_size, stage.size) == (True, 224)
