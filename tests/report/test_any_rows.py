"""The report of a run whose CSV files somebody has edited: a page, or one message, whatever stands in them."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import Recipe, Run, Stage, UserError
from kagglekit.report.page import write_report
from kagglekit.runs.info import Record

RECIPE = Recipe(arch="net", stages=(Stage(name="head", size=32), Stage(name="all", size=64, cycles=2)))
LOG = {"stage": "all", "cycle": "1", "epoch": "1", "step": "4", "train_loss": "1.5", "valid_loss": "2.0"}
LOG |= {"valid_accuracy": "0.5", "seconds": "2.0", "images_per_s": "9.0", "waited_s": "0.1"}
STEP = {"stage": "all", "step": "1", "lr": "0.1", "momentum": "0.9", "loss": "1.0"}
FIELDS = st.one_of(
    st.floats().map(str),
    st.integers().map(str),
    st.sampled_from(
        ["", "nan", "-inf", "1e308", "-1e308", "5e-324", "9" * 400, "9" * 5000, "head", "x", "\x00", "1_0"]
    ),
    st.text(max_size=5),
)


def written(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([list(rows[0]), *(list(row.values()) for row in rows)])
    return text.getvalue()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_field_in_a_log_is_drawn_or_named(data: st.DataObject) -> None:
    log = [{**LOG, "stage": "head", "step": "0"}, LOG, {**LOG, "epoch": "2", "step": "8", "cycle": "2"}]
    steps = [{**STEP, "step": str(i)} for i in range(1, 9)]
    for _ in range(data.draw(st.integers(1, 3))):
        row = data.draw(st.sampled_from([*log[1:], *steps]))
        row[data.draw(st.sampled_from(list(row)))] = data.draw(FIELDS)
    with tempfile.TemporaryDirectory() as place:
        run = Run(Path(place))
        run.write_recipe(RECIPE)
        Record.of(run.info_file).update(
            status="finished",
            competition="pets",
            plugin="pets",
            title="caf\udce9 \x00",
            stage_seconds={"all": 9.0},
        )
        run.log_file.write_text(written(log), errors="surrogateescape")
        run.steps_file.write_text(written(steps), errors="surrogateescape")
        damaged = ""
        try:
            write_report(run)
        except UserError as error:
            damaged = str(error)
        assert "is damaged" in damaged or "</html>" in run.report.read_text(encoding="utf-8")
