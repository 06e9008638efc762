from __future__ import annotations

import pytest
from pydantic import ValidationError

from kagglekit import Recipe, Stage, progressive_stages
from kagglekit.planning.describe import _stage_cells
from kagglekit.planning.overrides import apply_overrides, epochs_setting, size_settings
from kagglekit.system.errors import UsageError
from kagglekit.types.presets import features_recipe


def recipe() -> Recipe:
    return Recipe(arch="resnet18", stages=progressive_stages((64, 128)))


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


NESTED = {
    "lists": f"options.x={nested(3000)}",
    "less deep": f"options.x={nested(100)}",
    "objects": "stage.2.lr=" + '{"a":' * 3000 + "1" + "}" * 3000,
    "never closed": "options.x=" + "[" * 100_000,
    "a list of names": f"archs={nested(3000)}",
}


@pytest.mark.parametrize("setting", NESTED.values(), ids=NESTED)
def test_a_value_nested_too_deep_is_one_message(setting: str) -> None:
    with pytest.raises(UsageError, match=r"^'.*\.\.\.': the value is nested more than 20 deep$") as raised:
        apply_overrides(recipe(), [setting])
    assert len(raised.value.what) < 200


@pytest.mark.parametrize(
    "key", ["a." * 3000 + "b", "stage.1." + "a." * 3000, "stage." + "1" * 5000 + ".lr", "stage.².lr", "b" * 3000]
)
def test_a_key_nested_too_deep_is_one_short_message(key: str) -> None:
    with pytest.raises(UsageError, match=r"expected|unknown (stage|key)") as raised:
        apply_overrides(recipe(), [f"{key}=1"])
    assert len(raised.value.what) < 600


def test_lists_in_a_value_are_kept() -> None:
    setting = 'options.x={"a": [[1], {"b": [2]}]}'
    assert apply_overrides(recipe(), [setting]).options["x"] == {"a": [[1], {"b": [2]}]}


def test_a_recipe_survives_json():
    changed = apply_overrides(recipe(), ["options.warm=3", "stage.2.group_lrs=[1e-5,1e-4,1e-3]", "predict_size=96"])
    assert Recipe.model_validate_json(changed.to_json()) == changed


def test_progressive_stages_are_the_lessons_steps():
    head, augmented, small, large = progressive_stages((64, 128), cycles=3, cycle_len=1, cycle_mult=2)
    assert head.precompute
    assert (head.freeze_to, augmented.freeze_to, small.freeze_to, large.freeze_to) == (-1, -1, 0, 0)
    assert [s.size for s in (head, augmented, small, large)] == [64, 64, 64, 128]
    assert large.cycle_epochs == (1, 2, 4)
    assert large.epochs == 7
    assert large.snapshots
    assert not small.snapshots


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("arch=resnet34", lambda r: r.arch, "resnet34"),
        ("stage.4.size=96", lambda r: r.stages[3].size, 96),
        ("stage.head.batch_size=8", lambda r: r.stages[0].batch_size, 8),
        ("stage.*.lr=0.5", lambda r: {s.lr for s in r.stages}, {0.5}),
        ("stage.4.epochs=9", lambda r: (r.stages[3].cycles, r.stages[3].epochs), (1, 9)),
        ("pretrained=false", lambda r: r.pretrained, False),
        ("predict_size=none", lambda r: r.predict_size, None),
        ("options.warm=3", lambda r: r.options, {"warm": 3}),
        ("weights=a=b.safetensors", lambda r: r.weights, "a=b.safetensors"),
        ("arch=123", lambda r: r.arch, "123"),
    ],
)
def test_a_setting_changes_its_field(setting, field, value):
    assert field(apply_overrides(recipe(), [setting])) == value


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("stage.2.sise=96", "did you mean 'size'"),
        ("stage.7.size=96", "unknown stage '7'"),
        ("stage.haed.size=96", "did you mean 'head'"),
        ("stage.2.size=big", "should be an integer"),
        ("stage.2.batch_norm=maybe", "'keep' or 'update'"),
        ("ach=resnet34", "did you mean 'arch'"),
        ("nonsense", "KEY=VALUE"),
        ("stage.2=3", "stage.NUMBER.FIELD=VALUE"),
        ("stge.2.size=3", "did you mean 'stage'"),
        ("stage.2.lr=-1", "greater than 0"),
        ("stage.2.precompute=true,", "should be true or false"),
    ],
)
def test_a_wrong_setting_says_what_is_right(setting, words):
    with pytest.raises(UsageError) as caught:
        apply_overrides(recipe(), [setting])
    assert words in str(caught.value)
    assert setting in str(caught.value)


def test_all_wrong_settings_are_reported_together():
    with pytest.raises(UsageError) as caught:
        apply_overrides(recipe(), ["ach=x", "stage.2.size=big", "stage.9.lr=1"])
    assert len(str(caught.value).splitlines()) == 3


def test_all_impossible_values_are_reported_together():
    wrong = ["stage.2.lr=-1", "stage.3.size=0", "stage.4.mixup=-0.1", "valid=2", "stage.2.drop_rate=1.5"]
    with pytest.raises(UsageError) as caught:
        apply_overrides(recipe(), wrong)
    assert all(setting in str(caught.value) for setting in wrong)
    with pytest.raises(ValidationError) as made:
        Stage(name="s", size=0, lr=-1, mixup=-0.1)
    assert made.value.error_count() == 3


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["stage.1.freeze_to=0"], "freeze_to=-1"),
        (["stage.2.freeze_to=3"], "with 3 layer groups"),
        (["groups=2", "stage.2.group_lrs=[1e-3]"], "1 group_lrs for 2"),
        (["stage.2.name=head"], "two stages are named 'head'"),
        (["stage.1.mixup=0.4"], "cached activations"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        apply_overrides(recipe(), settings)


def test_another_arch_forgets_what_was_said_of_the_old_one():
    measured = recipe().model_copy(update={"measured": "99 %", "licence": "apache-2.0"})
    changed = apply_overrides(measured, ["arch=resnet34"])
    assert (changed.measured, changed.licence) == ("none", "")


def test_the_epochs_shorthand_gives_the_last_stage_one_cycle():
    changed = apply_overrides(recipe(), epochs_setting(4, 5))
    assert changed.stages[-1].cycle_epochs == (5,)
    assert changed.stages[:-1] == recipe().stages[:-1]


def test_the_size_shorthand_keeps_proportions():
    assert [s.size for s in apply_overrides(recipe(), size_settings(recipe(), 160)).stages] == [80, 80, 80, 160]


def test_a_recipe_is_frozen_and_refuses_unknown_fields():
    with pytest.raises(ValidationError):
        recipe().arch = "x"
    with pytest.raises(ValidationError):
        Stage(name="a", size=32, sise=3)


@pytest.mark.parametrize(
    ("settings", "rates"),
    [([], "0.001..0.1"), (["groups=2"], "0.01..0.1"), (["stage.4.freeze_to=1"], "0.01..0.1")],
)
def test_the_table_shows_the_lowest_and_the_highest_rate_that_trains(settings, rates):
    chosen = apply_overrides(recipe(), ["stage.4.lr=0.1", "stage.4.body_factor=10", *settings])
    assert _stage_cells(chosen.stages[3], chosen)[4] == rates


def test_the_features_baseline_holds_out_what_its_recipe_does():
    whole = recipe().model_copy(update={"split_seed": 7, "group_duplicates": True, "valid": 0.3})
    baseline = features_recipe(whole)
    assert (baseline.split_seed, baseline.group_duplicates, baseline.valid) == (7, True, 0.3)


def test_the_features_baseline_decides_as_its_recipe_does():
    options = {"new_class": "stranger"}
    baseline = features_recipe(recipe().model_copy(update={"decision": "new-class", "options": options}))
    assert (baseline.decision, baseline.options) == ("new-class", options)


BEST = {"keep": "best", "cycle_len": 2}


@pytest.mark.parametrize(
    ("stages", "numbers", "names"),
    [
        ([{}, BEST], [1, 2], ["b"]),
        ([BEST, {}], [1, 2], ["a"]),
        ([BEST, {}], [2], []),  # it does not run
        ([BEST, {"snapshots": True}], [1, 2], ["a"]),
        ([BEST, {**BEST, "snapshots": True}], [1, 2], ["a"]),  # snapshots are of the cycles' ends
        ([{"snapshots": True}, BEST], [1, 2], []),  # what comes behind the last snapshot does not predict
        ([{"keep": "best"}], [1], []),  # there is one epoch
        ([{**BEST, "freeze_to": -1, "precompute": True}], [1], []),  # there is a regression
    ],
)
def test_a_stage_picks_by_the_valid_loss_what_comes_to_predict(stages, numbers, names):
    made = tuple(Stage(name=name, size=32, **stage) for name, stage in zip("ab", stages, strict=False))
    assert Recipe(arch="net", stages=made).picked(numbers) == names
