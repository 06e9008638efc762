"""The program of a kernel shares out the GPUs of Kaggle's machine, and finds its data and its own dataset."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from kagglekit.kaggle.kernels import script

TRAINING = """#!/bin/sh
# stands for a training: fails if another one has the same GPU, and waits until as many train as should at once
mkdir "$PLACE/on-$CUDA_VISIBLE_DEVICES" || exit 3
: > "$PLACE/begun-$$"
echo "sees GPU $CUDA_VISIBLE_DEVICES"
tries=0
while [ "$(ls "$PLACE"/begun-* | wc -l)" -lt "$AT_ONCE" ]; do
    tries=$((tries + 1))
    [ $tries -gt 100 ] && exit 4
    sleep 0.05
done
rmdir "$PLACE/on-$CUDA_VISIBLE_DEVICES"
"""


def executable(file: Path, text: str) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)
    return file


@pytest.mark.parametrize(("share", "seen"), [(1, ["0", "1"]), (2, ["0,1", "0,1"])], ids=["one each", "two each"])
def test_trainings_run_side_by_side_on_two_gpus_or_share_them(
    share: int, seen: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    executable(tmp_path / "bin" / "nvidia-smi", "#!/bin/sh\necho 'GPU 0: Tesla T4'\necho 'GPU 1: Tesla T4'\n")
    python = executable(tmp_path / "bin" / "python", TRAINING)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(script, "TICK", 0.02)
    jobs = [{"name": f"run/fold-{number}", "folder": f"fold-{number}", "words": ["resume"]} for number in (1, 2)]
    monkeypatch.setattr(script, "MANIFEST", {"jobs": jobs, "gpus": share, "hours": 9})
    (tmp_path / "place").mkdir()
    monkeypatch.chdir(tmp_path)
    environment = {"PATH": "/usr/bin:/bin", "PLACE": str(tmp_path / "place"), "AT_ONCE": str(3 - share)}
    assert script.train(tmp_path / "run", tmp_path, environment, time.monotonic()) == 0
    codes = json.loads((tmp_path / "ended.json").read_text())["codes"]
    assert codes == {"run/fold-1": 0, "run/fold-2": 0}
    logs = [(tmp_path / "run" / job["folder"] / "run.log").read_text() for job in jobs]
    assert sorted(log.partition("sees GPU ")[2].strip() for log in logs) == seen
    assert capfd.readouterr().out.count("fold-1: sees GPU") == 1


def test_a_dataset_that_is_missing_or_damaged_and_missing_data_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "input" / "kagglekit-run-dogs"
    own.mkdir(parents=True)
    (own / "run.bin").write_bytes(b"run")
    (own / "kagglekit.whl").write_bytes(b"wheel")
    files = {file.name: script.digest(file) for file in own.iterdir()}
    manifest = {"files": files, "dataset": own.name, "slug": "dogs", "sample": "sample_submission.csv"}
    monkeypatch.setattr(script, "MANIFEST", manifest)
    assert script.find_attached(tmp_path) == own
    (own / "kagglekit.whl").write_bytes(b"whe")
    with pytest.raises(SystemExit, match=r"error: kagglekit\.whl in .* is missing or damaged"):
        script.find_attached(tmp_path)
    (own / "run.bin").write_bytes(b"another run")
    with pytest.raises(SystemExit, match="the dataset kagglekit-run-dogs is not attached"):
        script.find_attached(tmp_path)
    with pytest.raises(SystemExit, match="the data of dogs are not attached"):
        script.find_data(tmp_path / "input")
    data = tmp_path / "input" / "somewhere" / "dogs" / "inner"  # as older images attach them, and future ones may
    data.mkdir(parents=True)
    (data / "sample_submission.csv").write_text("id\n")
    assert script.find_data(tmp_path / "input") == data
    (tmp_path / "input" / "dogs").mkdir()
    assert script.find_data(tmp_path / "input") == tmp_path / "input" / "dogs"
