from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from plugin_site import Site
from torch import nn

from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load, load_shared
from kagglekit.runs.folder import Run
from kagglekit.system.display.console import for_people
from kagglekit.system.errors import PluginError, UsageError, UserError
from kagglekit.tasks.single_label import SingleLabel
from kagglekit.types.competition import Competition
from kagglekit.types.data_config import DataConfig
from kagglekit.types.download import DownloadOptions
from kagglekit.types.metric import Score
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage

STAGE = Stage(name="all", size=64, schedule="warm", optimizer="lamb", views="satellite", plain="tiles")
FOGGY = STAGE.model_copy(update={"augment": "fog"})
RECIPE = Recipe(arch="tiny", stages=(STAGE,), loss="focal", ensemble="vote", tta_views="corners", groups=2)
COMPETITION = Competition(title="Fish", metric="f1", url="https://fish.example")
DATA_CONFIG = DataConfig(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
TASK = SingleLabel(("a", "b"))
TABLE = pd.DataFrame({"a": [0.5]}, index=["1"])


def tiny_model() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))


ASKED: dict[str, Callable[[Hooks], object]] = {
    "competition": lambda hooks: hooks.competition(),
    "labels": lambda hooks: hooks.labels(Path("data")),
    "recipe": lambda hooks: hooks.recipe("best"),
    "download": lambda hooks: hooks.download(COMPETITION, Path("folder"), DownloadOptions(for_people(False))),
    "read_image": lambda hooks: hooks.read_image(Path("fish.jpg"), 64),
    "model": lambda hooks: hooks.model(RECIPE, 3),
    "layer_groups": lambda hooks: hooks.layer_groups(tiny_model(), RECIPE),
    "views": lambda hooks: hooks.views(RECIPE, STAGE, "train", DATA_CONFIG),
    "augment": lambda hooks: hooks.augmentations(RECIPE, FOGGY),
    "optimizer": lambda hooks: hooks.optimizer(tiny_model(), [], STAGE, RECIPE),
    "loss": lambda hooks: hooks.loss(RECIPE, TASK),
    "task": lambda hooks: hooks.task("counts"),
    "metric": lambda hooks: hooks.metric(COMPETITION, TASK),
    "schedule": lambda hooks: hooks.schedule(STAGE, 10, RECIPE),
    "ensemble": lambda hooks: hooks.ensemble([], pd.Series(dtype=str), RECIPE, TASK),
    "decision": lambda hooks: hooks.decision(RECIPE, COMPETITION, TASK),
    "submission": lambda hooks: hooks.submission(COMPETITION, TABLE, None, TASK),
}
ANSWERS = {  # each right and of its own kind
    "competition": "Competition(title='Fish')",
    "labels": "pd.DataFrame({'id': ['1']})",
    "recipe": "Recipe(arch='tiny', stages=(Stage(name='all', size=64),))",
    "download": "Path.cwd()",
    "read_image": "np.zeros((4, 5, 3), np.uint8)",
    "model": "Net()",
    "layer_groups": "[['0.weight', '0.bias'], ['1.weight', '1.bias']]",
    "views": "View(maps=print)",
    "augment": "Augmentation()",
    "optimizer": "torch.optim.SGD(Net().parameters(), 0.1)",
    "loss": "torch.nn.functional.cross_entropy",
    "task": "__import__('kagglekit').SingleLabel",
    "metric": "Metric('f1', print, True)",
    "schedule": "Schedule(np.ones(3), np.ones(3), (3,))",
    "ensemble": "Ensemble(pd.DataFrame(), pd.DataFrame())",
    "decision": "Decision('two-highest', print)",
    "submission": "pd.DataFrame({'id': ['1']})",
}
EXPECTED = {
    "competition": "a Competition",
    "labels": "a pandas DataFrame",
    "recipe": "a Recipe",
    "download": "the pathlib.Path of a folder",
    "read_image": "a numpy array of numbers, (H, W) or (H, W, C) with up to 64 channels",
    "model": "an nn.Module with a data_config of type DataConfig",
    "layer_groups": "a list of lists of parameter names",
    "views": "a View",
    "augment": "an Augmentation",
    "optimizer": "a torch Optimizer",
    "loss": "a function of logits and targets",
    "task": "a subclass of Task",
    "metric": "a Metric",
    "schedule": "a Schedule",
    "ensemble": "an Ensemble",
    "decision": "a Decision",
    "submission": "a pandas DataFrame",
}
PREAMBLE = """
import numpy as np, pandas as pd, torch
from pathlib import Path

class Net(torch.nn.Linear):
    def __init__(self):
        super().__init__(2, 3)
        self.data_config = DataConfig((0.5,) * 3, (0.5,) * 3)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A place without any of kagglekit's own plugins."""
    monkeypatch.syspath_prepend(str(tmp_path))
    site = Site(tmp_path)
    site.install("kagglekit")
    yield site
    site.forget()


def asking(site: Site, code: str) -> Hooks:
    return Hooks(load(site.write("fish.py", code)))


def fish(site: Site) -> str:
    """How messages and run.json name the plugin of `asking`."""
    file = site.folder / "fish.py"
    return f"fish ({file} {sha256(file.read_bytes()).hexdigest()[:8]})"


def answering(hook: str, answer: str) -> str:
    return f"{PREAMBLE}\n@hookimpl\ndef kagglekit_{hook}():\n    return {answer}\n"


def hooks_line(site: Site) -> int:
    """Return the number, from 0, of the line where the plugin of `answering` has its only hook."""
    return (site.folder / "fish.py").read_text().splitlines().index("@hookimpl")


def failure(hooks: Hooks, hook: str) -> UserError:
    with pytest.raises(UserError) as caught:
        ASKED[hook](hooks)
    return caught.value


@pytest.mark.parametrize("hook", ASKED)
def test_a_right_answer_is_handed_on_and_who_gave_it_is_recorded(site: Site, hook: str) -> None:
    hooks = asking(site, answering(hook, ANSWERS[hook]))
    assert ASKED[hook](hooks) is not None
    assert hooks.answered == {f"kagglekit_{hook}": fish(site)}


@pytest.mark.parametrize("hook", ASKED)
@pytest.mark.parametrize("answer", ["'cod'", "object()"])
def test_a_wrong_return_value_is_refused_with_plugin_hook_value_and_expectation(
    site: Site, hook: str, answer: str
) -> None:
    hooks = asking(site, answering(hook, answer))
    error = failure(hooks, hook)
    assert isinstance(error, PluginError)
    given = "str 'cod'" if answer == "'cod'" else "an object of type object"
    line = 1 + hooks_line(site)
    text = f"plugin {fish(site)} returned {given} from kagglekit_{hook} at {site.folder / 'fish.py'}:{line}, "
    text += f"expected {EXPECTED[hook]}\n"
    assert str(error).startswith(text)
    assert hooks.answered == {}


@pytest.mark.parametrize(
    ("hook", "answer", "part"),
    [
        ("read_image", "np.zeros((4, 5, 65))", "ndarray of dtype float64 and shape (4, 5, 65)"),
        ("read_image", "np.zeros((4, 5), bool)", "ndarray of dtype bool and shape (4, 5)"),
        ("read_image", "torch.zeros(4, 5, 3, dtype=torch.uint8)", "Tensor of dtype torch.uint8"),
        ("model", "torch.nn.Linear(2, 3)", "an object of type Linear"),
        ("layer_groups", "[['a'], 'b']", "list [['a'], 'b']"),
        ("download", "Path('no', 'such', 'folder')", "folder"),
    ],
)
def test_a_return_value_that_is_nearly_right_is_refused(site: Site, hook: str, answer: str, part: str) -> None:
    assert part in str(failure(asking(site, answering(hook, answer)), hook))


@pytest.mark.parametrize(
    ("groups", "part"),
    [
        ("[['0.weight', '0.bias', '1.weight', '1.bias']]", "1 groups, but the recipe has 2"),
        ("[['0.weight', '0.bias'], ['1.weight']]", "parameters in no group: 1.bias"),
        ("[['0.weight', '0.bias', '1.bias'], ['1.weight', '1.bias']]", "parameters in several groups: 1.bias"),
        ("[[], ['0.weight', '0.bias', '1.weight', '1.bias']]", "empty groups: 1"),
        ("[['0.weight', '0.bias'], ['1.weight', '1.bias', '2.bias']]", "unknown parameters: 2.bias"),
        ("[['2.bias']]", "has 2; unknown parameters: 2.bias; parameters in no group: 0.bias, 0.weight"),
    ],
)
def test_layer_groups_hold_every_parameter_once_in_as_many_groups_as_asked(site: Site, groups: str, part: str) -> None:
    error = failure(asking(site, answering("layer_groups", groups)), "layer_groups")
    assert isinstance(error, PluginError)
    assert (
        f"plugin {fish(site)} returned invalid groups from kagglekit_layer_groups at {site.folder / 'fish.py'}:"
        in str(error)
    )
    assert part in str(error)


@pytest.mark.parametrize("asked", ["log_loss", "f1"])
def test_a_metric_of_another_name_than_the_one_asked_for_is_refused(site: Site, asked: str) -> None:
    hooks = asking(site, answering("metric", "Metric('error', print, False)"))
    with pytest.raises(PluginError) as caught:
        hooks.metric(COMPETITION.model_copy(update={"metric": asked}))
    place = f"{site.folder / 'fish.py'}:{1 + hooks_line(site)}"
    assert str(caught.value) == (
        f"plugin {fish(site)} returned the metric 'error' from kagglekit_metric at {place}, but {asked!r} was "
        "requested\nreturn None for the names of other metrics"
    )


PROVIDES = """
@hookimpl
def kagglekit_provides():
    return Provides({provides})
"""
CHOSEN = [
    ("views", "views", "views", "satellite"),
    ("augment", "augment", "augmentation", "fog"),
    ("optimizer", "optimizer", "optimizer", "lamb"),
    ("loss", "loss", "loss", "focal"),
    ("metric", "metric", "metric", "f1"),
    ("schedule", "schedule", "schedule", "warm"),
    ("ensemble", "ensemble", "ensemble", "vote"),
]


@pytest.mark.parametrize(("hook", "kind", "word", "name"), CHOSEN)
def test_a_name_that_no_plugin_implements_is_unknown_with_a_guess_and_all_names(
    site: Site, hook: str, kind: str, word: str, name: str
) -> None:
    hooks = asking(site, PROVIDES.format(provides=f"{kind}=('zzz', '{name}2')"))
    error = failure(hooks, hook)
    assert isinstance(error, UsageError)
    assert str(error) == f"unknown {word} {name!r}: did you mean '{name}2'? choose from {name}2, zzz"


@pytest.mark.parametrize(("hook", "kind", "word", "name"), CHOSEN)
def test_a_plugin_that_provides_a_name_and_does_not_implement_it_is_blamed(
    site: Site, hook: str, kind: str, word: str, name: str
) -> None:
    error = failure(asking(site, PROVIDES.format(provides=f"{kind}=('{name}',)")), hook)
    assert isinstance(error, PluginError)
    for part in ("plugin fish (", f"provides the {word} {name!r}, but kagglekit_{hook} returned None"):
        assert part in str(error)


def test_each_mode_of_views_is_asked_by_its_own_name(site: Site) -> None:
    hooks = asking(site, "")
    own = RECIPE.model_copy(update={"tta_views": ""})
    asked = [(RECIPE, "train"), (RECIPE, "plain"), (RECIPE, "tta"), (own, "tta")]
    texts = []
    for recipe, mode in asked:
        with pytest.raises(UsageError) as caught:
            hooks.views(recipe, STAGE, mode, DATA_CONFIG)  # type: ignore[arg-type]
        texts.append(str(caught.value).partition(":")[0])
    assert texts == [
        "unknown views 'satellite'",
        "unknown plain view 'tiles'",
        "unknown test-time views 'corners'",
        "unknown views 'satellite'",
    ]


@pytest.mark.parametrize(
    ("hook", "part"),
    [
        ("competition", "no plugin describes the competition"),
        ("labels", "no plugin labels the images of data"),
        ("recipe", "no recipe for the preset 'best'"),
        ("download", "no plugin can download the data of Fish; they are at https://fish.example"),
        ("read_image", "no plugin can read the image fish.jpg"),
        ("model", "no plugin has the model 'tiny' with the head 'linear'"),
        ("layer_groups", "no plugin returns the layer groups of 'tiny'"),
        ("submission", "no plugin writes a submission for Fish"),
    ],
)
def test_a_hook_without_a_result_is_a_users_error(site: Site, hook: str, part: str) -> None:
    error = failure(asking(site, ""), hook)
    assert part in str(error)
    assert not isinstance(error, PluginError)


def test_an_unknown_preset_is_refused_with_a_guess(site: Site) -> None:
    with pytest.raises(UsageError, match=r"unknown preset 'standart': did you mean 'standard'\?"):
        asking(site, "").recipe("standart")


def test_an_exception_in_a_hook_is_the_plugins_with_hook_file_line_and_cause(site: Site) -> None:
    code = """
    import json

    def read(text):
        return json.loads(text)

    @hookimpl
    def kagglekit_competition():
        return read("{")
    """
    with pytest.raises(PluginError) as caught:
        asking(site, code).competition()
    file = site.folder / "fish.py"
    where = f"plugin {fish(site)} failed in kagglekit_competition at {file}:6: JSONDecodeError: Expecting"
    assert str(caught.value).startswith(where)
    assert type(caught.value.__cause__).__name__ == "JSONDecodeError"


def test_a_recipe_that_does_not_hold_together_names_the_field(site: Site) -> None:
    code = answering("recipe", "Recipe(arch='a', stages=(Stage(name='all', size=3),))")
    text = str(failure(asking(site, code), "recipe"))
    assert "fish.py:" in text
    assert "ValidationError: Stage: size: Input should be greater than or equal to 8" in text
    assert "\n" not in text


def test_a_users_error_raised_in_a_hook_passes_through_unchanged(site: Site) -> None:
    code = "from kagglekit import UserError\nmine = UserError('no fish', 'catch some')\n"
    code += "@hookimpl\ndef kagglekit_labels(data):\n    raise mine\n"
    error = failure(asking(site, code), "labels")
    assert type(error) is UserError
    assert str(error) == "no fish\ncatch some"


def test_ctrl_c_in_a_hook_stays_ctrl_c(site: Site) -> None:
    hooks = asking(site, "@hookimpl\ndef kagglekit_labels(data):\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        hooks.labels(Path("data"))


WATCHERS = """
seen = []

@hookimpl
def kagglekit_run_start(run, recipe): seen.append(("run_start", run, recipe))
@hookimpl
def kagglekit_stage_start(run, stage): seen.append(("stage_start", run, stage))
@hookimpl
def kagglekit_epoch_end(run, stage, row): seen.append(("epoch_end", run, stage, row))
@hookimpl
def kagglekit_stage_end(run, stage): seen.append(("stage_end", run, stage))
@hookimpl
def kagglekit_run_end(run, scores): seen.append(("run_end", run, scores))
@hookimpl
def kagglekit_run_failed(run, error): seen.append(("run_failed", run, error))
"""


def watch_a_run(hooks: Hooks) -> list[tuple[Any, ...]]:
    """Tell the watchers everything; return what was told."""
    run, row, error = Run(Path("run")), {"epoch": 1}, ValueError("x")
    scores: dict[str, Score] = {}
    told: list[tuple[Any, ...]] = [
        ("run_start", run, RECIPE),
        ("stage_start", run, STAGE),
        ("epoch_end", run, STAGE, row),
        ("stage_end", run, STAGE),
        ("run_end", run, scores),
        ("run_failed", run, error),
    ]
    for event, *arguments in told:
        getattr(hooks, event)(*arguments)
    return told


def test_every_watcher_is_told_everything(site: Site) -> None:
    site.install("tracker", shared={"a": WATCHERS, "b": WATCHERS})
    plugins = load_shared()
    told = watch_a_run(Hooks(plugins))
    for module in plugins.manager.get_plugins():
        assert module.seen == told


def test_a_failing_watcher_is_named_once_and_left_out_and_the_others_go_on(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    broken = WATCHERS + "@hookimpl\ndef kagglekit_stage_start(run, stage):\n    raise ConnectionError('no\\nnet')\n"
    site.install("tracker", shared={"a": broken, "b": WATCHERS})
    plugins = load_shared()
    with caplog.at_level(logging.WARNING):
        told = watch_a_run(Hooks(plugins))
    by_name: dict[str, Any] = dict(plugins.manager.list_name_plugin())
    assert by_name["b (tracker 1.0)"].seen == told
    assert by_name["a (tracker 1.0)"].seen == told[:1]
    assert len(caplog.messages) == 1
    for part in ("plugin a (tracker 1.0) failed in kagglekit_stage_start at ", ":19: ConnectionError: no net (it no"):
        assert part in caplog.messages[0]

    shown: list[str] = []
    again = load_shared()
    watch_a_run(Hooks(again, warn=shown.append))
    assert len(shown) == 1


def test_read_image_works_from_several_threads_and_records_every_reader_once(site: Site) -> None:
    reader = """
    import numpy as np

    @hookimpl
    def kagglekit_read_image(path, size):
        return np.full((2, 2, 3), int(path.stem) % 256, np.uint8) if path.suffix == {suffix!r} else None
    """
    site.install("readers", shared={"a": reader.format(suffix=".png"), "b": reader.format(suffix=".dcm")})
    hooks = Hooks(load_shared())
    assert hooks.reader() == "a (readers 1.0), b (readers 1.0)"
    paths = [Path(f"{i}{'.png' if i % 3 else '.dcm'}") for i in range(600)]
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(lambda path: hooks.read_image(path, 64), paths))
    assert [int(image[0, 0, 0]) for image in images] == [i % 256 for i in range(600)]
    who = hooks.answered["kagglekit_read_image"]
    assert sorted(who.split(", ")) == ["a (readers 1.0)", "b (readers 1.0)"]


def test_what_is_provided_is_merged_and_the_first_asked_keeps_its_option(site: Site) -> None:
    site.install("two", shared={"a": PROVIDES.format(provides="schedule=('warm', 'x'), options={'share': 0.1}")})
    site.install("one", shared={"b": PROVIDES.format(provides="schedule=('x',), options={'share': 3, 'n': 1}")})
    hooks = Hooks(load_shared())
    assert [plugin for plugin, _ in hooks.provided()] == ["a (two 1.0)", "b (one 1.0)"]
    merged = hooks.provides()
    assert merged.schedule == ("warm", "x")
    assert merged.options == {"share": 0.1, "n": 1}


COMPLETE = PROVIDES.format(
    provides="""views=['satellite'], augment=['fog', 'sky.*'], plain=['tiles'], tta=['corners'], schedule=['warm'],
    optimizer=['lamb'], head=['linear'], loss=['focal'], ensemble=['vote'], metric=['f1'], task=['single-label'],
    decision=['cuts'], options={'share': 0.1, 'n': 1, 'on': True, 'sides': (1, 2), 'any': None, 'text': ''}"""
)


def test_a_recipe_whose_names_and_options_are_all_known_passes(site: Site) -> None:
    options = {"share": 1, "n": 2, "on": False, "sides": [3], "any": "x", "text": "y"}
    stages = (STAGE.model_copy(update={"augment": "fog + sky.Clouds(n=3)"}),)
    asking(site, COMPLETE).check_names(RECIPE.model_copy(update={"options": options, "stages": stages}), COMPETITION)


def test_all_unknown_names_and_wrong_options_are_reported_together(site: Site) -> None:
    stages = (
        STAGE.model_copy(update={"schedule": "wram", "views": "satelite"}),
        STAGE.model_copy(update={"schedule": "wram", "plain": "tile", "optimizer": "lam", "augment": "fog+fgo"}),
    )
    changes = {"tta_views": "corner", "head": "liner", "loss": "focl", "ensemble": "votes", "decision": "cut"}
    options = {"shere": 1.0, "share": "x", "n": True, "on": 1, "sides": 3, "text": 1}
    recipe = RECIPE.model_copy(update={"stages": stages, "options": options, **changes})
    with pytest.raises(UsageError) as caught:
        asking(site, COMPLETE).check_names(recipe, COMPETITION.model_copy(update={"metric": "f2", "task": "single"}))
    first, *lines = str(caught.value).splitlines()
    assert first == "the recipe does not match the plugins:"
    assert [line.strip() for line in lines] == [
        "stage.1.views: unknown views 'satelite': did you mean 'satellite'? choose from satellite",
        "stage.1.schedule, stage.2.schedule: unknown schedule 'wram': did you mean 'warm'? choose from warm",
        "stage.2.plain: unknown plain view 'tile': did you mean 'tiles'? choose from tiles",
        "stage.2.optimizer: unknown optimizer 'lam': did you mean 'lamb'? choose from lamb",
        "stage.2.augment: unknown augmentation 'fgo': did you mean 'fog'? choose from fog, sky.*",
        "tta_views: unknown test-time views 'corner': did you mean 'corners'? choose from corners",
        "head: unknown head 'liner': did you mean 'linear'? choose from linear",
        "loss: unknown loss 'focl': did you mean 'focal'? choose from focal",
        "ensemble: unknown ensemble 'votes': did you mean 'vote'? choose from vote",
        "decision: unknown decision 'cut': did you mean 'cuts'? choose from cuts",
        "the competition's metric: unknown metric 'f2': did you mean 'f1'? choose from f1",
        "the competition's task: unknown task 'single': did you mean 'single-label'? choose from single-label",
        "options.shere: unknown option 'shere': did you mean 'share'? choose from any, n, on, share, sides, text",
        "options.share: 'x' is of type str, expected float (default 0.1)",
        "options.n: True is of type bool, expected int (default 1)",
        "options.on: 1 is of type int, expected bool (default True)",
        "options.sides: 3 is of type int, expected tuple (default (1, 2))",
        "options.text: 1 is of type int, expected str (default '')",
    ]
    assert caught.value.exit_code == 2


def test_a_plugin_that_names_what_it_provides_wrongly_is_blamed(site: Site) -> None:
    with pytest.raises(PluginError, match=r"failed in kagglekit_provides at .*Provides: shedule: Extra inputs"):
        asking(site, PROVIDES.format(provides="shedule=('warm',)")).provides()
