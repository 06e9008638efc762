"""Kaggle's machines on the server that plays Kaggle, used by the real client, unmodified."""

from __future__ import annotations

import json
from pathlib import Path

from kaggle_kernels import Outcome
from kaggle_play import USER
from kaggle_server import KaggleServer
from submitting import ROWS, SLUG, SOLUTION, accept_submissions

CLIENT = """
import json, kaggle, pathlib, requests
api, said = kaggle.api, {}
said["new"] = api.dataset_create_new("dataset", dir_mode="zip", quiet=True).status
said["again"] = api.dataset_create_new("dataset", quiet=True).error
said["states"] = [api.dataset_status("ada/some-weights") for _ in range(2)]
pathlib.Path("dataset/more.bin").write_bytes(b"more")
said["version"] = api.dataset_create_version("dataset", "second", quiet=True, dir_mode="zip").status
said["files"] = sorted(file.name for file in api.dataset_list_files("ada/some-weights").files)
quota = api.quota_view().gpu_quota
said["quota"] = [quota.time_used.total_seconds(), quota.total_time_allowed.total_seconds()]
pushed = api.kernels_push("kernel", timeout="3600", acc="NvidiaTeslaT4")
said["pushed"] = [pushed.version_number, pushed.error or pushed.invalid_dataset_sources]
said["status"] = [api.kernels_status("ada/a-first-kernel").status.name for _ in range(3)]
said["log"] = json.loads(api.kernels_logs("ada/a-first-kernel"))[0]["data"]
api.kernels_output("ada/a-first-kernel", "out")
said["output"] = sorted(path.name for path in pathlib.Path("out").iterdir())
made = api.competition_submit_code(
    "submission.csv", "mine", "dog-breed-identification", "ada/a-first-kernel", pushed.version_number, quiet=True
)
(sent,) = api.competition_submissions("dog-breed-identification")
said["sent"] = [sent.ref == made.ref, sent.description, sent.status.name, sent.public_score]
said["second"] = api.kernels_push("kernel").version_number
api.kernels_delete("ada/a-first-kernel", no_confirm=True)
api.dataset_delete("ada", "some-weights", no_confirm=True)
try:
    api.dataset_status("ada/some-weights")
except requests.HTTPError as error:
    said["gone"] = error.response.status_code
print(json.dumps(said))
"""
DATASET = {"id": "ada/some-weights", "title": "Some weights", "licenses": [{"name": "other"}]}
KERNEL = {
    "id": "ada/a-first-kernel",
    "title": "A first kernel",
    "code_file": "script.py",
    "language": "python",
    "kernel_type": "script",
    "enable_gpu": True,
    "enable_internet": False,
    "dataset_sources": ["ada/some-weights"],
    "competition_sources": [SLUG],
}


def test_the_real_client_uses_datasets_and_kernels(server: KaggleServer, tmp_path: Path) -> None:
    accept_submissions(server, tmp_path)
    server.play.contests[SLUG].code_only = True
    table = "\n".join(",".join(map(str, row)) for row in ROWS)
    server.play.kernels.run = lambda version: Outcome({"submission.csv": table.encode()}, ["hello", "done"])
    for name, facts, files in (
        ("dataset", DATASET, {"run.bin": b"weights", "more/inner.txt": b"inner"}),
        ("kernel", KERNEL, {"script.py": b"print('hello')"}),
    ):
        for file, content in {f"{name}-metadata.json": json.dumps(facts).encode(), **files}.items():
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_bytes(content)
    done = server.run("-c", CLIENT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said == {
        "new": "ok",
        "again": said["again"],
        "states": ["ready", "ready"],
        "version": "ok",
        "files": ["more.bin", "more.zip", "run.bin"],
        "quota": [0, 108000],
        "pushed": [1, []],
        "status": ["QUEUED", "RUNNING", "COMPLETE"],
        "log": "hello\n",
        "output": ["a-first-kernel.log", "submission.csv"],
        "sent": [True, "mine", "COMPLETE", "0.28768"],
        "second": 2,
        "gone": 403,
    }
    assert "already in use" in said["again"]
    assert server.play.kernels.deleted == [f"{USER}/a-first-kernel", f"{USER}/some-weights"]
    (asked,) = [request for request in server.requests if str(request).endswith("CreateCodeSubmission")]
    assert asked.login == "Basic"
    assert len(SOLUTION) == len(ROWS) - 1
    assert server.refused == []
