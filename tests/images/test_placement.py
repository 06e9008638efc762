"""Where decoded images are kept, and that what does not fit is never held whole."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from command_line import kagglekit
from layouts import write_dog_breed
from PIL import Image
from rich.console import Console
from store_parts import SIZES, draw_images, read, spec_of

import kagglekit as package
from kagglekit import Run, UserError
from kagglekit.images import dataset, placement
from kagglekit.images.build import build, build_smaller, hold
from kagglekit.images.decode import made_store
from kagglekit.images.placement import check_keep, in_memory, why_stream
from kagglekit.images.store import open_store
from kagglekit.system.display.console import Display
from kagglekit.system.paths import cache_folder
from kagglekit.types.predictions import load_predictions

CPU = torch.device("cpu")
TINY = {
    "arch": "test_efficientnet.r160_in1k",
    "pretrained": "false",
    "stage.*.batch_size": 8,
    "stage.1.solver": "regression",
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
from kagglekit import DataConfig, View
from kagglekit.images import placement
from kagglekit.images.loader import Loader
from kagglekit.images.store import StoreSpec, open_store
from kagglekit.images.build import build
from kagglekit.types.randomness import image_keys

torch.set_num_threads(1)
files = tuple(Path(sys.argv[1]) / str(i) for i in range(220))
spec = StoreSpec(files, Path(sys.argv[1]), 500, "short", "drawn 1")
plain = View(maps=lambda keys, aspects, pass_number: np.eye(2, 3, dtype=np.float32)[None].repeat(len(keys), axis=0))
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
placement.in_memory(store)
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))


def tiny_run(folder: Path, out: str, **options: object) -> tuple[Run, str]:
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
        **{"precision": "fp32", **options},
    )
    return run, said.getvalue()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="RLIMIT_DATA counts so on Linux only")
def test_a_store_larger_than_the_memory_is_built_and_read(tmp_path):
    done = subprocess.run([sys.executable, "-c", LARGER_THAN_MEMORY, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout.split() == [str(220 * 500 * 500 * 3)], done.stderr
    assert "MemoryError" in done.stderr  # held whole, as --store ram does, it does not fit: the limit is one


def test_a_run_names_the_images_of_nearly_one_value(tmp_path):
    write_dog_breed(tmp_path / "data")
    for number, file in enumerate(sorted((tmp_path / "data").rglob("*.jpg"))[:4]):
        Image.new("RGB", (64, 48), (number, 0, 0)).save(file)
    n = len(list((tmp_path / "data").rglob("*.jpg")))
    said = tiny_run(tmp_path, "out")[1]
    assert re.search(
        rf"^warning: 4 of {n} images are nearly uniform \(for example black\): \S+\.jpg, ", said, re.MULTILINE
    )


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
    other = spec_of(draw_images(tmp_path / "test", sizes=SIZES[::-1]))
    assert "60.0 kB are free on the disk" in why_stream("auto", [spec], [other])
    assert why_stream("map", [spec], [other]) == ""
    assert why_stream("stream", [spec], [other]) == "--store stream"
    assert why_stream("stream", [spec], []) == ""
    monkeypatch.undo()
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    list(build(other, read))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0))
    assert why_stream("auto", [spec], [other]) == ""  # they are there


def test_a_larger_copy_that_others_are_reduced_from_counts_too(tmp_path, monkeypatch):
    labelled, larger = (
        spec_of(draw_images(tmp_path / "images")),
        spec_of(draw_images(tmp_path / "test", sizes=SIZES[::-1])),
    )
    squashed = larger.smaller(32, "both")  # as with plain=squash: nobody looks at the larger one
    list(build(labelled, read))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=60_000))  # one of them is 46 kB
    assert "60.0 kB are free on the disk" in why_stream("auto", [labelled], [squashed])
    assert why_stream("auto", [labelled], [larger]) == ""
    one, both = (
        dataset.Stream({(spec.fit, 32): spec for spec in some}, read) for some in ([squashed], [larger, squashed])
    )
    assert one.each == both.each == 2 * 32**2 * 1.5 * 3
    monkeypatch.undo()
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "cache"))
    list(build(larger, read)), list(build_smaller(squashed))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=60_000))
    assert one.each == 2 * 32**2 * 1.5 * 3  # a block holds them wherever else they are
    shutil.rmtree(larger.folder)
    decoded: list[object] = []
    display = Display(Console(file=io.StringIO()))
    made_store(squashed, SimpleNamespace(read_image=read), display, "test", {}, decoded)
    assert not decoded  # it is there: what it was made of is not needed


@pytest.mark.parametrize(
    ("fits", "words"), [(True, "copied to cpu"), (False, "stay memory-mapped: cpu lacks twice that memory")]
)
def test_what_is_copied_to_the_device_is_said_when_it_is(tmp_path, monkeypatch, fits, words):
    for module in (dataset, placement):  # a CPU in the place of a GPU
        monkeypatch.setattr(module, "may_place", lambda keep, device: keep not in ("ram", "map"))
    monkeypatch.setattr("kagglekit.images.loader.fits_device", lambda n_bytes, device: fits)
    write_dog_breed(tmp_path / "data", test=10)
    _, said = tiny_run(tmp_path, "out")
    assert re.search(r"image stores: \d+ MB, memory-mapped; copied to cpu size by size if they fit\n", said)
    for kind in ("labelled", "test"):
        assert re.search(rf"{kind} images at \d+ px: \d+ MB {words}\n", said)
    for deterministic in ({"deterministic": True}, {"deterministic": True, "store": "stream"}):
        _, said = tiny_run(tmp_path, "same", **deterministic)
        assert re.search(r"image stores: \d+ MB, memory-mapped\n", said)
        assert "to cpu" not in said
        assert "lacks twice" not in said


def test_memory_that_only_caches_files_is_free(tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemFree: 1000 kB\nMemAvailable:    5000 kB\n")
    monkeypatch.setattr(placement, "MEMORY", tmp_path / "meminfo")
    assert placement._free_memory() == 5_120_000
    monkeypatch.setattr(placement, "MEMORY", tmp_path / "none")
    assert placement._free_memory() > 5_120_000


def test_a_streamed_test_set_gets_the_same_predictions_and_leaves_nothing_on_the_disk(tmp_path, monkeypatch):
    write_dog_breed(tmp_path / "data", test=150)
    mapped, said_mapped = tiny_run(tmp_path, "mapped")
    stores = set((cache_folder() / "stores").iterdir())
    shutil.rmtree(cache_folder())
    blocks: list[weakref.ref[object]] = []
    most = 0

    def counted(self: dataset.Stream, start: int, end: int):
        nonlocal most
        made = plain(self, start, end)
        blocks.append(weakref.ref(next(iter(made.values())).pixels))
        most = max(most, sum(block() is not None for block in blocks))
        return made

    plain = dataset.Stream.block
    monkeypatch.setattr(dataset, "BLOCK_BYTES", 1)  # a batch of 64 is the least
    monkeypatch.setattr(dataset.Stream, "block", counted)
    streamed, said = tiny_run(tmp_path, "streamed", store="stream")
    assert "decoded during prediction, in about 3 blocks of 64: --store stream" in said
    assert "blocks of" not in said_mapped
    assert "MB, memory-mapped" in said_mapped
    assert len(blocks) == 3  # each is decoded once, for both members and all passes
    for run in (mapped, streamed):  # whose time is told
        own = [each for each in run.info().decoded if each.images == "test" and each.source == "files"]
        assert sum(each.n for each in own) == 150
        assert all(each.seconds > 0 and each.stage == "" for each in own)
    assert most <= 2  # the next one is decoded while the last one's name still holds it
    assert set((cache_folder() / "stores").iterdir()) < stores
    assert streamed.submission.read_bytes() == mapped.submission.read_bytes()
    member = next(row["member"] for row in streamed.info().scores)
    for split in ("valid", "test"):
        one, other = (load_predictions(run.predictions(member, split)) for run in (streamed, mapped))
        assert one.equals(other)


def test_a_streamed_image_that_cannot_be_decoded_gets_the_mean_prediction(tmp_path, monkeypatch):
    write_dog_breed(tmp_path / "data", test=70)
    bad = sorted((tmp_path / "data" / "test").iterdir())[-1]
    bad.write_bytes(b"no picture")
    monkeypatch.setattr(dataset, "BLOCK_BYTES", 1)
    run, said = tiny_run(tmp_path, "out", store="stream")
    assert f"1 test images cannot be decoded and get the mean prediction: {bad.stem}" in said
    rows = [line.split(",") for line in run.submission.read_text().splitlines()[1:]]
    values = {name: np.array(numbers, float) for name, *numbers in rows}
    others = np.mean([value for name, value in values.items() if name != bad.stem], axis=0)
    assert len(rows) == 70
    assert np.allclose(values[bad.stem], others, atol=1e-5)


def test_images_kept_in_memory_give_the_same_submission_and_ids_are_hashed_once(tmp_path, monkeypatch):
    write_dog_breed(tmp_path / "data", test=10)
    hashed: list[object] = []
    keys = dataset.image_keys
    monkeypatch.setattr(dataset, "image_keys", lambda ids, *salt: hashed.append((*ids, salt)) or keys(ids, *salt))
    mapped, _ = tiny_run(tmp_path, "mapped")
    assert len(hashed) == len(set(hashed)) > 1
    held, said = tiny_run(tmp_path, "ram", store="ram")
    assert "MB, in memory" in said
    assert held.submission.read_bytes() == mapped.submission.read_bytes()


def test_a_choice_that_cannot_be_had_is_refused_before_anything_starts(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"cpu has no memory of its own\n.*auto, ram or map"):
        check_keep("device", CPU)
    with pytest.raises(UserError, match="unknown store 'disk'"):
        check_keep("disk", CPU)
    store = hold(spec_of(draw_images(tmp_path / "images")), read)
    monkeypatch.setattr(placement, "_free_memory", lambda: len(store.pixels) - 1)
    with pytest.raises(UserError, match=r"--store ram: .* free"):
        in_memory(store)
    write_dog_breed(tmp_path / "data")
    done = kagglekit("run", "dog-breed", "--data", "data", "--store", "device", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 1
    assert "cpu has no memory of its own" in done.stderr
    assert not (tmp_path / "submissions").exists()


STREAMED = """
import re, sys
from pathlib import Path
import numpy as np
import pandas as pd
import torch
from kagglekit import DataConfig, SingleLabel
from kagglekit.images import dataset
from kagglekit.images.store import StoreSpec

n, side = int(sys.argv[1]), int(sys.argv[2])
dataset.BLOCK_BYTES = int(sys.argv[3]) << 20
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1000  # MB
spec = StoreSpec(tuple(Path("images", str(number)) for number in range(n)), Path("images"), side, "short", "drawn 1")
stream = dataset.Stream(
    {("short", side): spec}, lambda path, size: np.full((side, side, 3), int(path.name) % 251, np.uint8)
)
config = DataConfig((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
table = pd.DataFrame({"id": [path.name for path in spec.files]})
usable = {"test": np.ones(n, bool)}
task = SingleLabel(("a", "b"))
run = dataset.ImageSet({"test": table}, task, {}, config, torch.device("cpu"), 0, usable, "stream", stream)
stream.block(0, 1), stream.each  # imports, and the name of them all
before, seen = peak(), 0
for block in run.test_blocks(64):
    (store,) = block.stores.values()
    assert store.image(0)[0, 0, 0] == seen % 251
    seen += len(store)
streamed = peak() - before
held = stream.block(0, n)
print(seen, streamed, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read as Linux tells them")
@pytest.mark.parametrize(
    ("n", "side", "block", "most"),
    [(6_000, 64, 4, 40), pytest.param(200_000, 24, 16, 200, marks=pytest.mark.slow)],
)
def test_a_very_large_test_set_is_streamed_in_bounded_memory(tmp_path, n, side, block, most):
    command = [sys.executable, "-c", STREAMED, str(n), str(side), str(block)]
    # a peak is the whole process's, so it is one of its own; ru_maxrss would begin with that of the one that starts it
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert not done.returncode, done.stderr
    seen, streamed, held = map(float, done.stdout.split())
    assert seen == n
    assert streamed < most
    assert held > n * side**2 * 3 / 1e6 > 1.5 * most  # all of them at once are seen
