"""Write each epoch as a line of JSON into the run's folder: `--set options.jsonl=epochs.jsonl`."""

import json

from kagglekit import Provides, hookimpl


@hookimpl
def kagglekit_provides():
    return Provides(options={"jsonl": ""})


@hookimpl
def kagglekit_epoch_end(run, stage, row):
    _write(run, {"stage": stage.name, **row})


@hookimpl
def kagglekit_run_end(run, scores):
    _write(run, {name: score.value for name, score in scores.items()})


def _write(run, facts):
    name = run.recipe().options.get("jsonl", "")
    if name:
        with (run.folder / name).open("a") as file:
            file.write(json.dumps(facts) + "\n")
