"""Words that other tools have for what an option or a setting of a recipe is called here."""

from __future__ import annotations

import shlex
from collections.abc import Collection

WORDS = {  # what it is here, with a value as an example: an option, a stage's field, or the recipe's
    "--arch resnet34": "model model_name network net architecture backbone encoder",
    "--size 224": "img_size image_size imgsz input_size resolution img_sz px",
    "--epochs 5": "n_epochs num_epochs epoch max_epochs n_epoch",
    "--folds 5": "kfold k_folds n_folds num_folds cv n_splits",
    "--seed 1": "random_state random_seed",
    "--limit 500": "subset n_images max_images max_samples num_samples n_samples",
    "--data DIR": "data_dir data_path dataset data_folder root path input_dir",
    "--out DIR": "output output_dir save_dir out_dir log_dir",
    "--device cuda": "gpu gpus cuda",
    "--precision bf16": "amp fp16 bf16 half mixed_precision dtype",
    "--dry-run": "debug fast_dev_run smoke_test",
    "--plugin FILE": "plugin_file plugin_path",
    "--preset quick": "recipe config profile",
    "stage.*.lr=1e-3": "lr learning_rate learn_rate max_lr base_lr lr_max rate",
    "stage.*.batch_size=32": "batch_size bs batch batchsize train_batch_size",
    "stage.*.weight_decay=0.05": "weight_decay wd l2",
    "stage.*.optimizer=sgd": "optimizer optim opt opt_func",
    "stage.*.schedule=sgdr": "schedule scheduler lr_scheduler sched lr_schedule",
    "stage.*.augment=trivial-augment": "augment augmentation augmentations aug transforms tfms aug_transforms",
    "stage.*.views=random-resized-crop": "views crop",
    "stage.4.mixup=0.2": "mixup mix_up mixup_alpha",
    "stage.4.cutmix=1.0": "cutmix cutmix_alpha",
    "stage.*.label_smoothing=0.1": "label_smoothing smoothing",
    "stage.*.grad_accum_steps=2": "grad_accum accum accumulate accum_steps gradient_accumulation_steps",
    "stage.*.clip_norm=1": "clip_norm clip_grad grad_clip max_grad_norm gradient_clip_val",
    "stage.*.ema=0.999": "ema ema_decay",
    "drop_rate=0.2": "dropout drop p_drop",
    "drop_path=0.1": "droppath stochastic_depth drop_path_rate",
    "valid=0.2": "valid_pct val_split valid_split validation_split test_size val_size valid_size",
    "tta=8": "tta n_tta tta_steps num_tta",
    "loss=cross-entropy": "loss_fn loss_func criterion",
    "weights=FILE": "checkpoint checkpoint_path pretrained_path weights_file ckpt",
}
KNOWN = {word: meaning for meaning, words in WORDS.items() for word in words.split()}
OPTIONS = {key.partition(" ")[0]: key for key in WORDS if key.startswith("--")}
SETTINGS = {  # of the recipe, where a command takes settings and has no such option
    "--arch": "arch",
    "--size": "stage.*.size",
    "--epochs": "stage.*.epochs",
    "--folds": "folds",
    "--seed": "seed",
    "--limit": "limit",
}


OWN_VALUES = ("--device", "--precision", "--preset", "stage.*.optimizer", "stage.*.schedule", "stage.*.augment",
              "stage.*.views", "loss")  # fmt: skip  # what others call their values is not known here


def meaning_of(word: str, fields: Collection[str] = (), stage_fields: Collection[str] = ()) -> str:
    """Return what a word is here: ``--arch resnet34``, ``stage.*.lr=1e-3`` or ``tta=8``; empty if it is unknown.

    Args:
        word: It, as an option, a setting or a keyword.
        fields: Names of the recipe's fields, which are known by themselves.
        stage_fields: Those of a stage.
    """
    name = word.strip("-").replace("-", "_").lower()
    if name in KNOWN:
        return KNOWN[name]
    if own := OPTIONS.get(f"--{name.replace('_', '-')}"):
        return own
    if name in fields:
        return f"{name}=VALUE"
    return f"stage.*.{name}=VALUE" if name in stage_fields else ""


def option_hint(option: str, options: Collection[str], value: str = "") -> str:
    """Return the hint for an option that a command does not have; empty if the word means nothing here.

    Args:
        option: The option, ``--lr``.
        options: Those that the command has.
        value: What the user wrote after it, which takes the place of the example.
    """
    from kagglekit.types.recipe import Recipe
    from kagglekit.types.stage import Stage

    meaning = meaning_of(option, Recipe.model_fields, Stage.model_fields)
    there, _, example = meaning.partition(" ")
    if there in SETTINGS and there not in options and "--set" in options:
        meaning = f"{SETTINGS[there]}={example}"
    if not meaning:
        return ""
    meaning = _with_value(meaning, value)
    if (there if meaning.startswith("--") else "--set") not in options:
        same = meaning.partition(" ")[0] == option
        return f"{option} is for kagglekit run" + ("" if same else f", where it is called {_as_option(meaning)}")
    return f"{option} is called {_as_option(meaning)}" + (in_one_stage(meaning) if "*" in meaning else "")


def _with_value(meaning: str, value: str) -> str:
    """Return a meaning with a value in place of its example, where any value of that kind is one here, too."""
    mark = "=" if "=" in meaning else " "
    name, _, example = meaning.partition(mark)
    return f"{name}{mark}{value}" if value and example and name not in OWN_VALUES else meaning


def in_one_stage(meaning: str) -> str:
    """Return how to set a field in a single stage."""
    return f"; in stage 4 alone: --set {meaning.replace('*', '4')}"


def key_hint(key: str, value: str, in_stage: bool) -> str:
    """Return what to write for an unknown key of ``--set``; empty if the word means nothing here.

    Args:
        key: The key, without ``stage.N.``.
        value: The value that was given.
        in_stage: Whether it was given for a stage.
    """
    meaning = KNOWN.get(key.lower(), "")
    if not meaning:
        return ""
    if meaning.startswith("--"):
        option = meaning.partition(" ")[0]
        return f"this is the option {option} {value}" if meaning.partition(" ")[2] else f"this is the option {option}"
    known = meaning.partition("=")[0]
    if in_stage and known.startswith("stage."):
        return f"it is called {known.rpartition('.')[2]} here"
    return f"write --set {_quoted(f'{known}={value}')}"


def keyword_hint(word: str, keywords: Collection[str], value: object = None) -> str:
    """Return what to write in Python for an unknown keyword; empty if the word means nothing here.

    Args:
        word: The keyword.
        keywords: Those that the function has.
        value: What the user gave, if that is text or a number: it takes the place of the example.
    """
    from kagglekit.types.recipe import Recipe
    from kagglekit.types.stage import Stage

    meaning = meaning_of(word, Recipe.model_fields, Stage.model_fields)
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        meaning = _with_value(meaning, str(value))
    if meaning.startswith("--"):
        option, _, example = meaning.removeprefix("--").partition(" ")
        name = {"plugin": "plugins"}.get(option, option.replace("-", "_"))
        shown = example if example.isdigit() else repr(example) if example else "True"
        return f"write {name}={shown}" if name in keywords else ""
    key, _, example = meaning.partition("=")
    shown = example if example.replace(".", "").replace("e-", "").isdigit() or example == "VALUE" else repr(example)
    return f'write settings={{"{key}": {shown}}}' if meaning and "settings" in keywords else ""


def _as_option(meaning: str) -> str:
    return meaning if meaning.startswith("--") else f"--set {_quoted(meaning)}"


def _quoted(setting: str) -> str:
    return shlex.quote(setting)  # or a shell may look for files of that name
