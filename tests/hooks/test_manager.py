from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from plugin_site import Site

from kagglekit.cli.listing import competitions, plugins
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import competition_names, load, load_shared, survey
from kagglekit.hooks.specs import HOOKS
from kagglekit.system.errors import PluginError, UsageError, UserError

FACTS = """
@hookimpl
def kagglekit_competition():
    return Competition(title="{title}", slug="{title}-slug", metric="accuracy")
"""
RECIPE = """
@hookimpl
def kagglekit_recipe(preset):
    return Recipe(arch="{arch}", stages=(Stage(name="head", size=64),)) if preset == "{preset}" else None
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(str(tmp_path))
    site = Site(tmp_path)
    yield site
    site.forget()


def refusal(competition: str, **arguments: list[str]) -> str:
    with pytest.raises(UserError) as caught:
        load(competition, **arguments)
    return str(caught.value)


def test_the_competition_is_asked_first_then_third_parties_by_name_then_our_own(site: Site) -> None:
    own = RECIPE.format(arch="own", preset="all")
    site.install("kagglekit", shared={"aaa": own}, competitions={"one": FACTS.format(title="One")})
    site.install("alpha", shared={"zebra": RECIPE.format(arch="zebra", preset="all")})
    site.install("beta", shared={"yak": RECIPE.format(arch="yak", preset="all")})
    loaded = load("one")
    assert [plugin.name for plugin in loaded.plugins] == ["one", "yak", "zebra", "aaa"]
    assert Hooks(loaded).recipe("all").arch == "yak"
    assert Hooks(load("one", disable=["yak"])).recipe("all").arch == "zebra"
    assert Hooks(load("one", disable=["yak", "zebra"])).recipe("all").arch == "own"


def test_a_competitions_answer_replaces_the_defaults_only_where_it_has_one(site: Site) -> None:
    competition = FACTS.format(title="One") + RECIPE.format(arch="special", preset="quick")
    site.install(
        "kagglekit", shared={"recipes": RECIPE.format(arch="usual", preset="best")}, competitions={"one": competition}
    )
    hooks = Hooks(load("one"))
    assert (hooks.recipe("quick").arch, hooks.recipe("best").arch) == ("special", "usual")
    assert hooks.answered["kagglekit_recipe"] == "one (kagglekit 1.0), recipes (kagglekit 1.0)"


def test_another_competition_is_never_imported_and_names_come_from_metadata_alone(site: Site) -> None:
    fatal = "raise SystemExit('imported')"
    site.install("kagglekit", competitions={"one": FACTS.format(title="One"), "two": fatal})
    code = f"""if 1:
        import sys
        sys.path.insert(0, {str(site.folder)!r})
        from kagglekit.hooks.manager import competition_names, load
        assert competition_names() == ["one", "two"], competition_names()
        assert "kagglekit_kagglekit_one" not in sys.modules
        load("one")
        assert "kagglekit_kagglekit_one" in sys.modules
        assert "kagglekit_kagglekit_two" not in sys.modules
        heavy = {{"torch", "timm", "pandas", "cv2"}} & set(sys.modules)
        assert not heavy, heavy
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_competition_is_a_usage_error_with_a_guess_and_all_names(site: Site) -> None:
    site.install("kagglekit", competitions={"dog-breed": FACTS, "pets": FACTS})
    with pytest.raises(UsageError) as caught:
        load("dogbreed")
    assert "unknown competition 'dogbreed': did you mean 'dog-breed'? choose from dog-breed, pets" in str(caught.value)
    assert caught.value.exit_code == 2


def test_two_distributions_that_claim_one_competition_are_both_named(site: Site) -> None:
    site.install("kagglekit", competitions={"fish": FACTS.format(title="Fish"), "pets": FACTS.format(title="Pets")})
    site.install("angler", version="2.5", competitions={"fish": FACTS.format(title="Other fish")})
    assert "several plugins provide the competition 'fish': angler 2.5 and kagglekit 1.0" in refusal("fish")
    assert load("pets").competition == "pets"
    shown = CliRunner().invoke(competitions)
    assert "fish (angler 2.5): its name is also used by kagglekit 1.0" in shown.output
    assert "fish (kagglekit 1.0): its name is also used by angler 2.5" in shown.output


def test_the_list_of_competitions_has_the_titles_of_their_metrics(site: Site) -> None:
    facts = FACTS.format(title="Pets").replace("accuracy", "balanced_accuracy")
    site.install("kagglekit", competitions={"pets": facts})
    shown = CliRunner().invoke(competitions)
    assert "mean per class accuracy" in shown.output
    assert "balanced_accuracy" not in shown.output


def test_a_plugin_file_is_loaded_by_its_path(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("kagglekit", shared={"recipes": RECIPE.format(arch="usual", preset="quick")})
    site.write("kagglekit_my_cassava.py", FACTS.format(title="Cassava"))
    monkeypatch.chdir(site.folder)
    for path in ("./kagglekit_my_cassava.py", "kagglekit_my_cassava.py", str(site.folder / "kagglekit_my_cassava.py")):
        loaded = load(path)
        hooks = Hooks(loaded)
        assert loaded.competition == "my-cassava"
        assert (hooks.competition().title, hooks.recipe("quick").arch) == ("Cassava", "usual")
        who = hooks.answered["kagglekit_competition"]
        assert who.startswith(f"my-cassava ({path.removeprefix('./')} ")


def test_an_edited_plugin_file_has_another_version(site: Site) -> None:
    site.install("kagglekit")
    before = load(site.write("a.py", FACTS.format(title="A"))).plugins[0].version
    after = load(site.write("a.py", FACTS.format(title="Another"))).plugins[0].version
    assert before != after


def test_a_missing_plugin_file_and_a_folder_are_users_errors(site: Site) -> None:
    site.install("kagglekit", competitions={"pets": FACTS})
    missing = refusal(str(site.folder / "nothing.py"))
    assert "nothing.py does not exist" in missing
    assert "pets" in missing
    assert "is a folder" in refusal(f"{site.folder}/")


@pytest.mark.parametrize("where", ["file", "installed"])
def test_a_competition_that_fails_to_import_is_named_with_file_line_and_error(site: Site, where: str) -> None:
    code = "def inner():\n    return {}['breed']\n\ninner()\n"
    site.install("kagglekit")
    site.install("zoo", version="3.1", competitions={"apes": code})
    site.write("apes.py", code)
    if where == "file":
        text, file = refusal(f"{site.folder}/apes.py"), "apes.py"
    else:
        text, file = refusal("apes"), "kagglekit_zoo_apes.py"
        assert "plugin apes (zoo 3.1) failed to load" in text
    assert f"at {site.folder}/{file}:3: KeyError: 'breed'" in text


def test_a_syntax_error_in_a_plugin_names_its_line(site: Site) -> None:
    file = site.write("broken.py", "x = 1\ndef (:\n")
    site.install("kagglekit")
    assert f"failed to load at {file}:3: SyntaxError: " in refusal(file)


def test_an_entry_point_without_its_module_is_named(site: Site) -> None:
    site.install("kagglekit")
    site.install("zoo", competitions={"apes": ""})
    (site.folder / "kagglekit_zoo_apes.py").unlink()
    assert "plugin apes (zoo 1.0) failed to load: ModuleNotFoundError: No module named" in refusal("apes")


BAD_HOOKS = {
    "unknown hook": (
        "@hookimpl\ndef kagglekit_label(data): ...",
        ["unknown hook 'kagglekit_label': did you mean 'kagglekit_labels'?", ":2"],
    ),
    "unknown specname": (
        "@hookimpl(specname='kagglekit_schedul')\ndef warm(stage): ...",
        ["unknown hook 'kagglekit_schedul': did you mean 'kagglekit_schedule'?"],
    ),
    "no decorator": (
        "def kagglekit_schedle(stage): ...",
        ["kagglekit_schedle at ", ":2 is not a plain function with @hookimpl", "mean 'kagglekit_schedule'?"],
    ),
    "no decorator, right name": (
        "def kagglekit_labels(data): ...",
        ["kagglekit_labels at ", ":2 is not a plain function with @hookimpl"],
    ),
    "hidden by a cache": (
        "from functools import cache\n@hookimpl\n@cache\ndef kagglekit_competition(): ...",
        ["kagglekit_competition is not a plain function with @hookimpl"],
    ),
    "wrong argument": (
        "@hookimpl\ndef kagglekit_labels(dat): ...",
        ["kagglekit_labels has no argument 'dat': did you mean 'data'? its arguments are kagglekit_labels(data)"],
    ),
    "default value": (
        "@hookimpl\ndef kagglekit_recipe(preset='quick'): ...",
        ["kagglekit_recipe has no argument 'preset'", "without defaults"],
    ),
    "keyword-only": ("@hookimpl\ndef kagglekit_recipe(*, preset): ...", ["must be positional"]),
    "any arguments": ("@hookimpl\ndef kagglekit_recipe(**rest): ...", ["no argument 'rest'"]),
    "another order": (
        "@hookimpl(tryfirst=True)\ndef kagglekit_recipe(preset): ...",
        ["kagglekit_recipe is marked tryfirst, which kagglekit does not support"],
    ),
    "wrapper": (
        "@hookimpl(wrapper=True)\ndef kagglekit_recipe(preset): return (yield)",
        ["kagglekit_recipe is marked wrapper"],
    ),
}


@pytest.mark.parametrize("bad", BAD_HOOKS)
def test_a_bad_hook_is_refused_in_a_file_and_disables_a_third_partys_shared_plugin(site: Site, bad: str) -> None:
    code, parts = BAD_HOOKS[bad]
    site.install("kagglekit", competitions={"one": FACTS.format(title="One")})
    text = refusal(site.write("mine.py", code))
    for part in ["plugin mine (", "mine.py", *parts]:
        assert part in text

    site.install("foreign", version="0.3", shared={"extra": code})
    loaded = load("one")
    assert len(loaded.warnings) == 1
    for part in ["disabled: ", "plugin extra (foreign 0.3)", *parts]:
        assert part in loaded.warnings[0]
    assert "\n" not in loaded.warnings[0]
    assert Hooks(loaded).competition().title == "One"


def test_a_function_of_a_hooks_name_may_be_for_others_where_another_one_is_the_hook(site: Site) -> None:
    site.install("kagglekit", competitions={"one": FACTS.format(title="One")})
    code = "@hookimpl(specname='kagglekit_loss')\ndef hook(recipe): ...\n\ndef kagglekit_loss(recipe, power=2): ..."
    file = site.write("mine.py", f"from kagglekit import Competition, hookimpl\n{code}\n")
    assert load(str(file)).plugins[0].hooks == ("kagglekit_loss",)


def test_a_hook_of_a_newer_kagglekit_may_be_marked_optional(site: Site) -> None:
    code = FACTS.format(title="New") + "@hookimpl(optionalhook=True)\ndef kagglekit_tomorrow(moon): ..."
    site.install("kagglekit")
    loaded = load(site.write("new.py", code))
    assert loaded.plugins[0].hooks == ("kagglekit_competition",)


@pytest.mark.parametrize("code", ["import nowhere_to_be_found", "raise SystemExit(3)"])
def test_a_third_partys_broken_import_is_a_warning_and_our_own_an_error(site: Site, code: str) -> None:
    site.install("foreign", version="0.3", shared={"extra": code})
    site.install("kagglekit", shared={"fine": RECIPE.format(arch="a", preset="quick")})
    loaded = load_shared()
    assert [plugin.name for plugin in loaded.plugins] == ["extra", "fine"]
    assert len(loaded.warnings) == 1
    assert loaded.warnings[0].startswith("disabled: plugin extra (foreign 0.3) failed to load at ")
    assert f"{site.folder}/kagglekit_foreign_extra.py:2: " in loaded.warnings[0]
    assert Hooks(loaded).recipe("quick").arch == "a"
    assert load_shared(disable=["extra"]).warnings == []


def test_our_own_broken_plugin_is_an_error(site: Site) -> None:
    site.install("kagglekit", shared={"views": "1 / 0"})
    with pytest.raises(PluginError, match=r"plugin views \(kagglekit 1.0\) failed to load at .*:2: ZeroDivisionError"):
        load_shared()


def test_an_unknown_name_to_disable_is_refused(site: Site) -> None:
    site.install("kagglekit", shared={"views": ""}, competitions={"one": FACTS})
    assert "unknown plugin to disable 'view': did you mean 'views'?" in refusal("one", disable=["view"])


def test_a_module_listed_twice_is_refused(site: Site) -> None:
    site.install("kagglekit")
    site.install("zoo", shared={"apes": FACTS.format(title="Apes")})
    info = site.folder / "zoo-1.0.dist-info" / "entry_points.txt"
    info.write_text(info.read_text() + "apes = kagglekit_zoo_apes\n")
    text = refusal("apes")
    assert "plugin apes (zoo 1.0) is the same module as apes (zoo 1.0)" in text


def test_an_object_can_be_a_plugin(site: Site) -> None:
    code = """
    class Tracker:
        @hookimpl
        def kagglekit_recipe(self, preset):
            return Recipe(arch="object", stages=(Stage(name="head", size=64),))

    tracker = Tracker()
    """
    site.install("kagglekit")
    site.install("track", shared={"track": code})
    info = site.folder / "track-1.0.dist-info" / "entry_points.txt"
    info.write_text(info.read_text().replace("kagglekit_track_track", "kagglekit_track_track:tracker"))
    assert Hooks(load_shared()).recipe("quick").arch == "object"


def test_the_listing_of_competitions_shows_a_broken_one_as_broken_and_the_others(site: Site) -> None:
    unpacked = "@hookimpl\ndef kagglekit_competition():\n    return {'title': 'A dict'}"
    broken = {"apes": "import nowhere_to_be_found", "bears": unpacked, "cats": FACTS.format(title="Cats")}
    site.install("kagglekit", competitions=broken)
    shown = CliRunner().invoke(competitions)
    assert shown.exit_code == 0
    assert [" ".join(line.split()) for line in shown.stdout.splitlines()] == [
        "name title metric data plugin",
        "apes (broken) kagglekit 1.0",
        "bears (broken) kagglekit 1.0",
        "cats Cats accuracy kaggle: Cats-slug kagglekit 1.0",
    ]
    assert len({line.index("kagglekit 1.0") for line in shown.stdout.splitlines()[1:]}) == 1  # aligned
    first, second = shown.stderr.splitlines()
    assert "plugin apes (kagglekit 1.0) failed to load" in first
    assert "returned dict {'title': 'A dict'} from kagglekit_competition at " in second
    assert "kagglekit_bears.py:2, expected a Competition" in second


def test_the_listing_of_plugins_shows_kind_distribution_version_status_and_hooks(site: Site) -> None:
    provides = "@hookimpl\ndef kagglekit_provides():\n    return Provides(schedule=('warm',))"
    site.install("kagglekit", shared={"recipes": RECIPE.format(arch="a", preset="b")}, competitions={"one": FACTS})
    site.install("warm", version="2.0", shared={"warm": provides, "cold": "1 / 0"})
    shown = CliRunner().invoke(plugins)
    assert [" ".join(line.split()) for line in shown.stdout.splitlines()] == [
        "name kind distribution version status hooks",
        "cold shared warm 2.0 broken",
        "recipes shared kagglekit 1.0 ok recipe",
        "warm shared warm 2.0 ok provides",
        "one competition kagglekit 1.0 ok competition",
    ]
    assert "ZeroDivisionError" in shown.stderr
    as_json = {row["name"]: row for row in json.loads(CliRunner().invoke(plugins, ["--json"]).stdout)}
    assert as_json["warm"]["provides"] == {"schedule": ["warm"]}
    assert as_json["warm"]["hooks"] == ["kagglekit_provides"]
    assert as_json["cold"]["status"] == "broken"
    assert "ZeroDivisionError" in as_json["cold"]["problem"]
    assert as_json["one"]["kind"] == "competition"


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
def test_on_a_narrow_terminal_the_listing_goes_on_below_and_no_address_is_cut() -> None:
    ours, theirs = os.openpty()
    code = "from kagglekit.cli.listing import competitions; competitions([])"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=theirs, env={**os.environ, "COLUMNS": "80"})
    os.close(theirs)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", os.read(ours, 10_000).decode())  # colours begin and end where rich likes
    os.close(ours)
    assert shown.count("\ndog-breed ") == 2
    assert "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/" in shown


def test_the_real_competitions_are_listed_within_a_second_and_without_heavy_imports() -> None:
    code = """if 1:
        import sys, time
        from click.testing import CliRunner
        begin = time.process_time()
        from kagglekit.cli.listing import competitions
        result = CliRunner().invoke(competitions)
        assert result.exit_code == 0, result.exception
        assert not result.stderr, result.stderr
        heavy = {"torch", "timm", "pandas", "cv2", "sklearn", "scipy"} & set(sys.modules)
        assert not heavy, heavy
        assert time.process_time() - begin < 1.0
        print(result.stdout)
    """
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=os.environ)
    for name in competition_names():
        assert f"\n{name} " in shown.stdout


def test_every_real_plugin_loads() -> None:
    for kind in ("shared", "competition"):
        for loaded in survey(kind):
            assert not loaded.plugins[0].problem
            assert loaded.plugins[0].hooks


def test_every_hook_is_known_with_its_arguments() -> None:
    assert HOOKS["kagglekit_views"] == ("recipe", "stage", "mode", "data_config")
    assert list(HOOKS)[:3] == ["kagglekit_provides", "kagglekit_competition", "kagglekit_labels"]
    assert HOOKS["kagglekit_task"] == ("name",)
    assert HOOKS["kagglekit_decision"] == ("recipe", "competition", "task")
    assert len(HOOKS) == 28
