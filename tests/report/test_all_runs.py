"""The page of all runs: what it shows, that it filters and sorts, and that runs write it again."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import browser
import pytest
from click.testing import CliRunner

from kagglekit import Recipe, Run, Stage
from kagglekit.cli import cli
from kagglekit.report.pages import all_runs
from kagglekit.runs.info import Record

needs_chromium = pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium here: apt-get install chromium")


def make(root: Path, competition: str, name: str, valid: float, public: float | None, status: str = "finished") -> Run:
    run = Run(root / competition / name)
    arch = "mobilenetv4_conv_medium.e500_r224_in1k" if "long" in name else "resnet18"
    run.write_recipe(Recipe(arch=arch, stages=(Stage(name="head", size=64), Stage(name="all", size=96))))
    scores = [{"member": "ensemble", "views": "mean", "valid_log_loss": [valid, 0.01], "test_log_loss": [valid, 0.02]}]
    Record.of(run.info_file).update(
        competition=competition, plugin=competition, metric="log_loss", status=status, scores=scores, seconds=750.0
    )
    row = {"stage": "all", "cycle": 1, "train_loss": 1.0, "seconds": 1.0}
    run.write_log([{**row, "epoch": i, "step": 9 * i, "valid_loss": valid + 1 / i} for i in (1, 2, 3)])
    if public is not None:
        upload = {"token": "t", "ref": 1, "sent": "", "message": "", "status": "complete", "public": public}
        run.write_submissions([upload])
    run.report.write_text("<!doctype html>", encoding="utf-8")
    return run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs") / "submissions"
    make(root, "pets", "20260101-000000-a_network_with_a_long_name", 0.5, 0.55)
    make(root, "pets", "20260102-000000-b", 0.25, 0.31)
    make(root, "dogs", "20260103-000000-c", 0.75, None, "running")
    done = CliRunner().invoke(cli, ["history", "--html", "--out", str(root)])
    assert done.output == f"all runs: {root / 'history.html'}\n"
    return root


def test_every_run_has_its_scores_its_curve_and_a_link_to_its_report(root):
    text = unescape((root / "history.html").read_text(encoding="utf-8")).replace("<wbr>", "")
    rows = re.findall(r"<tr data-keys.*?</tr>", text, re.DOTALL)
    assert len(rows) == 3
    assert "1 running" in text
    (row,) = [row for row in rows if "20260102-000000-b" in row]
    assert 'href="pets/20260102-000000-b/report.html"' in row
    plain = re.sub(r"<[^>]*>", "", row)
    for words in ("0.2500 ± 0.0100", "0.2500 ± 0.0200", "0.31000", "-0.0600", "12 min 30 s"):
        assert words in plain
    assert "loss after each of 3 epochs: 1.25 to 0.5833" in row
    assert text.count("valid 0.5, public 0.55") == 1
    assert "public against valid scores of dogs" not in text


def test_the_curve_of_folds_is_the_mean_of_those_that_are_as_far(tmp_path):
    run = make(tmp_path, "pets", "20260102-000000-b", 0.25, None, "running")
    run.log_file.unlink()
    row = {"stage": "all", "cycle": 1, "train_loss": 1.0, "seconds": 1.0}
    for number, losses in enumerate([(0.9, 0.5, 0.3), (0.7, 0.4, 0.1), (0.2,)], 1):
        log = [{**row, "epoch": i, "step": i, "valid_loss": loss} for i, loss in enumerate(losses, 1)]
        run.fold(number).write_log(log)
    text = all_runs.write_history(tmp_path).read_text(encoding="utf-8")
    assert "mean loss of 2 folds after each of 3 epochs: 0.8 to 0.2" in text


def test_columns_that_no_run_fills_are_left_out(tmp_path):
    make(tmp_path, "dogs", "20260103-000000-c", 0.75, None)
    text = all_runs.write_history(tmp_path).read_text(encoding="utf-8")
    heads = re.findall(r"<th class=[^>]*>(\w+)", text)
    assert {"valid", "test", "time"} <= set(heads)
    assert not {"public", "gap"} & set(heads)
    (keys,) = re.findall(r'<tr data-keys="([^"]*)"', text)
    assert len(keys.split("\t")) == len(heads)


def test_it_is_written_again_only_where_it_is_and_not_too_often(root, tmp_path, monkeypatch):
    run = Run(root / "dogs" / "20260103-000000-c" / "fold-1")
    page, wrote = root / "history.html", []
    monkeypatch.setattr(all_runs, "write_history", lambda root: wrote.append(root))
    monkeypatch.setattr(all_runs, "_pace", all_runs._Pace())
    all_runs.refresh_history(run)
    all_runs.refresh_history(run)
    assert wrote == [root]
    all_runs.refresh_history(run, at_once=True)
    all_runs.refresh_history(Run(tmp_path / "submissions" / "pets" / "1"), at_once=True)
    assert wrote == [root, root]
    assert page.exists()


def test_a_run_is_on_the_page_before_its_first_epoch(dogs, tmp_path, monkeypatch):
    from tiny_runs import tiny_run  # and with it torch and timm

    (tmp_path / "history.html").touch()
    logs: list[int] = []
    monkeypatch.setattr(all_runs, "write_history", lambda root: logs.append(len(list(root.glob("*/*/log.csv")))))
    tiny_run("dog-breed", dogs.data, tmp_path, options={"stages": "1"}, tta=0)
    assert logs[0] == 0
    assert logs[-1] == 1


def test_other_options_are_refused(root):
    done = CliRunner().invoke(cli, ["history", "pets", "--html", "--out", str(root)])
    assert "--html writes a page of all runs" in done.output
    assert done.exit_code == 2


@needs_chromium
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [*browser.WIDTHS, 961, 1000])
def test_in_a_browser_nothing_overflows_or_overlaps(root, width, dark, tmp_path):
    answer = browser.ask(root / "history.html", tmp_path, dark, width)
    assert answer["dark"] == dark
    assert answer["scroll"] == answer["beyond"] == answer["broken"] == 0
    assert answer["scrolled"] == 0, "the table's last columns are out of sight"
    assert answer["requests"] == answer["cut"] == answer["overlaps"] == []


@needs_chromium
def test_in_a_browser_a_page_of_finished_runs_soon_shows_one_that_begins(tmp_path):
    make(tmp_path, "pets", "20260102-000000-b", 0.25, None)
    page, file = browser.browser(), all_runs.write_history(tmp_path)
    (wait,) = re.findall(r'data-reload="(\d+)"', file.read_text(encoding="utf-8"))
    assert int(wait) <= 10_000
    file.write_text(file.read_text(encoding="utf-8").replace(f'data-reload="{wait}"', 'data-reload="300"'))
    page.open(file)
    make(tmp_path, "pets", "20260103-000000-c", 0.25, None, "running")
    all_runs.write_history(tmp_path)
    page._read(lambda each: each.get("method") == "Page.loadEventFired")
    assert page.evaluate("document.body.innerText").count("1 running") == 1


@needs_chromium
def test_in_a_browser_it_filters_sorts_and_remembers(root):
    page, shown = (
        browser.browser(),
        "[...document.querySelectorAll('#runs tbody tr:not(.off)')].map((e) => e.cells[0].innerText)",
    )
    page.open(root / "history.html")
    assert len(page.evaluate(shown)) == 3
    page.evaluate(
        "(() => { const s = document.querySelector('select'); s.value = 'pets'; s.dispatchEvent(new Event('change'));"
        "[...document.querySelectorAll('#runs th')].find((e) => e.innerText === 'valid').click(); })()"
    )
    best_first = ["20260102-000000-b", "20260101-000000-a_network_with_a_long_name"]
    assert page.evaluate(shown) == best_first
    page.do("Page.reload")
    page._read(lambda each: each.get("method") == "Page.loadEventFired")
    assert page.evaluate(shown) == best_first
