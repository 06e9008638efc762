"""Old plugins go on working; one for a newer kagglekit says so and disturbs no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from plugin_site import Site

from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.system.display.console import for_people
from kagglekit.system.errors import PluginError
from kagglekit.types.download import DownloadOptions
from kagglekit.types.randomness import image_keys, uniforms
from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage

FACTS = "@hookimpl\ndef kagglekit_competition():\n    return Competition(title='One', metric='accuracy')\n"
NEWER = "kagglekit_requires = '>=99'\nfrom kagglekit import SomethingNew\n@hookimpl\ndef kagglekit_brand_new(): ...\n"
STAGE = Stage(name="all", size=64, schedule="old")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(str(tmp_path))
    site = Site(tmp_path)
    yield site
    site.forget()


def test_a_competition_for_a_newer_kagglekit_is_refused_with_the_version_it_needs(site: Site) -> None:
    with pytest.raises(PluginError) as caught:
        load(site.write("one.py", NEWER))
    assert "needs kagglekit >=99, but this is 0.1.0" in caught.value.what
    assert "pip install -U kagglekit" in caught.value.hint


def test_a_shared_plugin_for_a_newer_kagglekit_is_left_out_and_the_others_work(site: Site) -> None:
    site.install("future", shared={"next": NEWER})
    site.install("present", shared={"now": "@hookimpl\ndef kagglekit_recipe(preset): ..."})
    plugins = load(site.write("one.py", FACTS))
    (warning,) = plugins.warnings
    assert warning.startswith("disabled: plugin next (future 1.0) needs kagglekit >=99")
    assert "now" in [plugin.name for plugin in plugins.plugins if not plugin.problem]
    assert Hooks(plugins).competition().title == "One"


@pytest.mark.parametrize("line", ["kagglekit_requires = '>=0.1'", "kagglekit_requires: str = '>=0.1,<99'"])
def test_a_plugin_whose_needs_are_met_loads(site: Site, line: str) -> None:
    assert load(site.write("one.py", f"{line}\n{FACTS}")).competition == "one"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("kagglekit_requires = 'newer'", "kagglekit_requires = 'newer' is not a version specifier"),
        ("kagglekit_requires = '>' + '=1'", "one.py:2 is not a plain string"),
    ],
)
def test_needs_that_cannot_be_read_are_named(site: Site, line: str, said: str) -> None:
    with pytest.raises(PluginError, match="one") as caught:
        load(site.write("one.py", f"{line}\n{FACTS}"))
    assert said in caught.value.what


def test_a_plugin_that_asks_for_fewer_arguments_than_a_hook_has_still_runs(site: Site) -> None:
    old = """
    import numpy as np
    @hookimpl
    def kagglekit_provides():
        return Provides(schedule=["old"], optimizer=["old"], options={"warm": 2})
    @hookimpl
    def kagglekit_schedule(stage, steps_per_epoch):
        return Schedule(np.ones(steps_per_epoch), np.ones(steps_per_epoch), (steps_per_epoch,))
    """
    new = """
    import numpy as np
    @hookimpl
    def kagglekit_provides():
        return Provides(schedule=["new"], options={"warm": 2})
    @hookimpl
    def kagglekit_schedule(recipe, stage):
        steps = recipe.options["warm"]
        return Schedule(np.ones(steps), np.ones(steps), (steps,)) if stage.schedule == "new" else None
    """
    site.install("aged", shared={"old": old})
    site.install("anew", shared={"new": new})
    hooks = Hooks(load(site.write("one.py", FACTS)))
    recipe = Recipe(arch="tiny", stages=(STAGE,), options={"warm": 7})
    assert len(hooks.schedule(STAGE, 5, recipe).lr) == 5
    assert len(hooks.schedule(STAGE.model_copy(update={"schedule": "new"}), 5, recipe).lr) == 7


def test_a_plugin_that_calls_an_argument_as_it_was_called_before_gets_it_all_the_same(
    site: Site, tmp_path: Path
) -> None:
    code = """
    @hookimpl
    def kagglekit_download(competition, folder, fetching):
        place = folder / str(fetching.timeout)
        place.mkdir()
        return place
    """
    hooks = Hooks(load(site.write("one.py", FACTS + dedent(code))))
    options = DownloadOptions(for_people(json_output=True), timeout=7)
    assert hooks.download(hooks.competition(), tmp_path, options) == tmp_path / "7"
    keys = image_keys(["a", "b"])
    assert uniforms(keys, turn=3, n=2).tolist() == uniforms(keys, 3, 2).tolist()
