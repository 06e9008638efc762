"""Where decoded images are kept, and that what does not fit is never held whole."""

from __future__ import annotations

import io
import resource
import shutil
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import kagglekit
from layouts import write_dog_breed
from rich.console import Console
from store_parts import draw_images, read, spec_of

import kagglekit as package
from kagglekit import Run, UserError, pictures, store_choice
from kagglekit.predictions import load_predictions
from kagglekit.progress import Display
from kagglekit.store import cache_folder, open_store
from kagglekit.store_build import build, build_smaller, hold
from kagglekit.store_choice import check_keep, in_memory, why_stream

CPU = torch.device("cpu")
TINY = {
    "arch": "test_efficientnet.r160_in1k",
    "pretrained": "false",
    "stage.*.batch_size": 8,
    "stage.*.size": 32,
    "tta": 2,
}
# In a process that may hold 64 MB of data more than it has after its imports: make a store of 160 MB, and see every
# picture of it in batches. What memory maps show does not count as data (RLIMIT_DATA, getrlimit(2)).
LARGER_THAN_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
import torch
from kagglekit import DataConfig, View, store_choice
from kagglekit.loader import Loader
from kagglekit.store import StoreSpec, open_store
from kagglekit.store_build import build
from kagglekit.view import image_keys

torch.set_num_threads(1)
files = tuple(Path(sys.argv[1]) / str(i) for i in range(220))
spec = StoreSpec(files, Path(sys.argv[1]), 500, "short", "drawn 1")
plain = View(maps=lambda keys, aspects, turn: np.eye(2, 3, dtype=np.float32)[None].repeat(len(keys), axis=0))
held = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData:")) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (held + (64 << 20), -1))
for _ in build(spec, lambda path, size: np.full((500, 500, 3), int(path.name), np.uint8), threads=1):
    pass
store = open_store(spec)
config = DataConfig((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))
loader = Loader(store, plain, 32, config, image_keys(store.names), torch.device("cpu"))
rows = [np.arange(i, i + 20) for i in range(0, 220, 20)]
seen = [float(image.mean()) for batch in loader.batches(rows, 0) for image in batch]
assert np.allclose(seen, np.arange(220), atol=0.01), seen
print(len(store.pixels), flush=True)
store_choice.in_memory(store)
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))


def tiny_run(folder: Path, out: str, **options: str) -> tuple[Run, str]:
    """Run dog-breed with a tiny network; return the run and what it said."""
    said = io.StringIO()
    display = Display(Console(file=said, width=240, soft_wrap=True, highlight=False))
    run = package.run(
        "dog-breed",
        data=folder / "data",
        out=folder / out,
        settings=TINY,
        display=display,
        preset="quick",
        precision="fp32",
        **options,
    )
    return run, said.getvalue()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="RLIMIT_DATA counts so on Linux only")
def test_a_store_larger_than_the_memory_is_built_and_read(tmp_path):
    done = subprocess.run([sys.executable, "-c", LARGER_THAN_MEMORY, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout.split() == [str(220 * 500 * 500 * 3)], done.stderr
    assert "MemoryError" in done.stderr  # held whole, as --store ram does, it does not fit: the limit is one


def test_a_store_in_memory_holds_what_the_one_on_disk_does(tmp_path):
    spec = spec_of(draw_images(tmp_path / "images"))
    smaller = spec.smaller(16, "both")
    list(build(spec, read)), list(build_smaller(smaller))
    held = hold(spec, read)
    for kept, disk in ((held, spec), (hold(smaller, read, held), smaller), (in_memory(open_store(spec)), spec)):
        opened = open_store(disk)
        assert np.array_equal(kept.pixels, opened.pixels)
        assert np.array_equal(kept.offsets, opened.offsets)
        assert np.array_equal(kept.aspects, opened.aspects)


def test_a_part_of_a_store_is_made_of_the_same_files(tmp_path):
    spec = spec_of(draw_images(tmp_path / "images")).smaller(16)
    part = spec.part(2, 5)
    assert part.files == spec.files[2:5] == part.source.files
    assert len({part.key, spec.key, spec.part(0, 3).key}) == 3


def test_what_the_disk_has_no_room_for_is_streamed(tmp_path, monkeypatch):
    spec = spec_of(draw_images(tmp_path / "images"))  # 10 pictures of 32 px: 46 kB as estimated
    usage = shutil.disk_usage(tmp_path)
    assert why_stream("auto", [spec], [spec]) == ""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=60_000))
    other = spec_of(draw_images(tmp_path / "test"))
    assert "GB are free on the disk" in why_stream("auto", [spec], [other])
    assert why_stream("map", [spec], [other]) == ""
    assert why_stream("stream", [spec], [other]) == "as asked"
    assert why_stream("stream", [spec], []) == ""
    monkeypatch.undo()
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    list(build(other, read))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0))
    assert why_stream("auto", [spec], [other]) == ""  # they are there


def test_a_streamed_test_set_gets_the_same_predictions_and_leaves_nothing_on_the_disk(tmp_path, monkeypatch):
    write_dog_breed(tmp_path / "data", test=150)
    mapped, said_mapped = tiny_run(tmp_path, "mapped")
    stores = set((cache_folder() / "stores").iterdir())
    shutil.rmtree(cache_folder())
    blocks: list[weakref.ref[object]] = []
    most = 0

    def counted(self: pictures.Stream, start: int, end: int):
        nonlocal most
        made = plain(self, start, end)
        blocks.append(weakref.ref(next(iter(made.values())).pixels))
        most = max(most, sum(block() is not None for block in blocks))
        return made

    plain = pictures.Stream.block
    monkeypatch.setattr(pictures, "BLOCK_BYTES", 1)  # a batch of 64 is the least
    monkeypatch.setattr(pictures.Stream, "block", counted)
    streamed, said = tiny_run(tmp_path, "streamed", store="stream")
    assert "decoded when they are predicted, in about 3 blocks of 64: as asked" in said
    assert "blocks of" not in said_mapped
    assert "MB, memory-mapped" in said_mapped
    assert len(blocks) == 3  # each is decoded once, for both members and all passes
    for run in (mapped, streamed):  # whose time is told
        own = [each for each in run.info()["decoded"] if each["images"] == "test" and each["source"] == "files"]
        assert sum(each["n"] for each in own) == 150
        assert all(each["seconds"] > 0 and each["stage"] == "" for each in own)
    assert most <= 2  # the next one is decoded while the last one's name still holds it
    assert set((cache_folder() / "stores").iterdir()) < stores
    assert streamed.submission.read_bytes() == mapped.submission.read_bytes()
    member = next(row["member"] for row in streamed.info()["scores"])
    for split in ("valid", "test"):
        one, other = (load_predictions(run.predictions(member, split)) for run in (streamed, mapped))
        assert one.equals(other)


def test_a_streamed_image_that_cannot_be_decoded_gets_the_mean_prediction(tmp_path, monkeypatch):
    write_dog_breed(tmp_path / "data", test=70)
    bad = sorted((tmp_path / "data" / "test").iterdir())[-1]
    bad.write_bytes(b"no picture")
    monkeypatch.setattr(pictures, "BLOCK_BYTES", 1)
    run, said = tiny_run(tmp_path, "out", store="stream")
    assert f"1 test images cannot be decoded and get the mean prediction: {bad.stem}" in said
    rows = [line.split(",") for line in run.submission.read_text().splitlines()[1:]]
    values = {name: np.array(numbers, float) for name, *numbers in rows}
    others = np.mean([value for name, value in values.items() if name != bad.stem], axis=0)
    assert len(rows) == 70
    assert np.allclose(values[bad.stem], others, atol=1e-5)


def test_images_kept_in_memory_give_the_same_submission(tmp_path):
    write_dog_breed(tmp_path / "data", test=10)
    mapped, _ = tiny_run(tmp_path, "mapped")
    held, said = tiny_run(tmp_path, "ram", store="ram")
    assert "MB, in memory" in said
    assert held.submission.read_bytes() == mapped.submission.read_bytes()


def test_a_choice_that_cannot_be_had_is_refused_before_anything_starts(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"cpu has no memory of its own\n.*auto, ram or map"):
        check_keep("device", CPU)
    with pytest.raises(UserError, match="unknown store 'disk'"):
        check_keep("disk", CPU)
    store = hold(spec_of(draw_images(tmp_path / "images")), read)
    monkeypatch.setattr(store_choice, "_free_memory", lambda: len(store.pixels) - 1)
    with pytest.raises(UserError, match=r"--store ram: .* are free"):
        in_memory(store)
    write_dog_breed(tmp_path / "data")
    done = kagglekit("run", "dog-breed", "--data", "data", "--store", "device", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 1
    assert "cpu has no memory of its own" in done.stderr
    assert not (tmp_path / "submissions").exists()


@pytest.mark.slow
def test_a_very_large_test_set_is_streamed_in_bounded_memory(tmp_path, monkeypatch):
    files = tuple(tmp_path / f"{number}" for number in range(200_000))
    spec = replace(spec_of(draw_images(tmp_path / "images", 1)), files=files, root=tmp_path, side=24)
    monkeypatch.setattr(pictures, "BLOCK_BYTES", 16 << 20)
    stream = pictures.Stream(
        {("short", 24): spec}, lambda path, size: np.full((24, 24, 3), int(path.name) % 251, np.uint8)
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = 0
    for start in range(0, len(files), stream.rows()):
        (store,) = stream.block(start, start + stream.rows()).values()
        assert store.picture(0)[0, 0, 0] == start % 251
        seen += len(store)
    assert seen == 200_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB; all of them are 346 MB of pixels
