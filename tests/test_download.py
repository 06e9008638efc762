"""`kagglekit download` by the real client from the server that plays Kaggle."""

from __future__ import annotations

import io
import json
import re
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from pathlib import Path

import pytest
from kaggle_contest import zipped
from kaggle_server import KaggleServer
from kaggle_session import QUICK, ask, message
from layouts import write_dog_breed, write_dogs_vs_cats, write_pets
from rich.console import Console

from kagglekit import data_place
from kagglekit.archive import BadArchive
from kagglekit.competition import Competition
from kagglekit.data_place import MARKER, existing_data, workshop
from kagglekit.errors import UserError
from kagglekit.fetching import Fetching
from kagglekit.hooks import Hooks
from kagglekit.manager import load
from kagglekit.online.data import download
from kagglekit.online.patience import Patience
from kagglekit.online.transfer import Source
from kagglekit.progress import Display

SLUG = "dog-breed-identification"
STORAGE = "GET storage.googleapis.com"


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("dog-breed")
    write_dog_breed(folder)
    return zipped(folder)


@pytest.fixture
def server(archive) -> Iterator[KaggleServer]:
    with KaggleServer() as server:
        server.add_competition(SLUG, archive, title="Dog Breed Identification")
        yield server


def left(home: Path) -> list[str]:
    """Name what a download has left in the data folder and beside it, locks aside."""
    return sorted(path.name for path in (home / "data").glob("*") if not path.name.endswith(".lock"))


def is_complete(home: Path) -> bool:
    data = home / "data" / "dog-breed"
    n_images = len(list(data.glob("*/*.jpg")))
    return n_images == 42 and (data / "labels.csv").is_file() and left(home) == ["dog-breed"]


def test_from_nothing_to_labelled_images_and_never_asked_again(server, tmp_path):
    done = ask(server, tmp_path, "download", "dog-breed")
    assert done.returncode == 0, done.stderr
    assert "32 labelled images of 4 classes, 10 test images" in done.stdout
    assert is_complete(tmp_path)
    asked = len(server.requests)
    again = ask(server, tmp_path, "download", "dog-breed", "--data", tmp_path / "data" / "dog-breed")
    assert again.returncode == 0
    assert "complete" in again.stdout
    assert len(server.requests) == asked


@pytest.mark.parametrize("credentials", ["token", "oauth", "key variables"])
def test_every_way_to_log_in_works(server, tmp_path, credentials):
    done = ask(server, tmp_path, "download", "dog-breed", credentials=credentials)
    assert done.returncode == 0, done.stderr
    assert is_complete(tmp_path)


@pytest.mark.parametrize(
    ("where", "kind", "details", "told"),
    [
        ("DownloadDataFiles", 429, {"retry_after": 1}, "HTTP 429"),
        ("DownloadDataFiles", "silence", {}, "silence"),
        ("CONNECT api.kaggle.com", "refuse", {"times": 2, "status": 502}, "the proxy fails"),
        (STORAGE, 503, {}, "HTTP 503"),
        (STORAGE, "reset", {"after": 5000}, "connection reset|went on after .*cut"),
        (STORAGE, "cut", {"after": 5000}, "cut in the middle"),
        (STORAGE, "silence", {"after": 5000}, "silence"),
        (STORAGE, "expired", {"after": 5000}, "cut in the middle"),
        (STORAGE, "corrupt", {"after": 5000}, "a damaged file"),
    ],
)
def test_a_fault_that_passes_is_told_in_a_line(server, tmp_path, where, kind, details, told):
    server.fault(where, kind, **details)
    done = ask(server, tmp_path, "download", "dog-breed", "--timeout", 10)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"went on after .*{told}", done.stdout), done.stdout
    assert is_complete(tmp_path)


def refuse_rules(server):
    server.play.contests[SLUG].entered = False


def refuse_phone(server):
    server.play.contests[SLUG].verified = False


def forget_it(server):
    server.play.contests.clear()


def forget_it_with_404(server):
    server.play.contests.clear()
    server.play.unknown_status = 404


def bare_403(server):
    server.play.contests[SLUG].entered = False
    server.fault("DownloadDataFiles", 403, None, message="Forbidden")


@pytest.mark.parametrize("form", ["message", "error"])
@pytest.mark.parametrize(
    ("happens", "says"),
    [
        (refuse_rules, f"the rules of {SLUG} are not accepted yet .*https://www.kaggle.com/c/{SLUG}/rules"),
        (refuse_phone, "Kaggle wants the account verified by phone first .*https://www.kaggle.com/settings"),
        (forget_it, f"there is no competition '{SLUG}' on Kaggle"),
        (forget_it_with_404, f"there is no competition '{SLUG}' on Kaggle"),
        (bare_403, f"the rules of {SLUG} are not accepted yet"),
    ],
)
def test_a_refusal_says_what_to_do(server, tmp_path, form, happens, says):
    server.play.form = form
    happens(server)
    done = ask(server, tmp_path, "download", "dog-breed", *QUICK)
    assert done.returncode == 1
    assert re.search(says, message(done), re.S), message(done)
    assert not (tmp_path / "data" / "dog-breed").exists()


@pytest.mark.parametrize(
    ("credentials", "says"),
    [
        ("none", "there are no credentials for Kaggle.*kaggle auth login.*--data DIR"),
        ("stale key", "does not accept the credentials .401.*user name and key of ~/.kaggle/kaggle.json"),
        ("stale token over key", r"access token of \$KAGGLE_API_TOKEN.*~/.kaggle/kaggle.json would count then"),
        ("stale token", "access token of ~/.kaggle/access_token|none of the credentials"),
        ("stale oauth", "credentials"),
    ],
)
def test_credentials_that_do_not_work_are_named(server, tmp_path, credentials, says):
    done = ask(server, tmp_path, "download", "dog-breed", *QUICK, credentials=credentials)
    assert done.returncode == 1
    assert re.search(says, message(done), re.S), message(done)
    assert not (tmp_path / "data" / "dog-breed").exists()


@pytest.mark.parametrize(
    ("where", "kind", "details", "says", "keeps"),
    [
        ("DownloadDataFiles", 429, {"retry_after": 3600}, "takes no more calls for now .429.*try again after", 0),
        ("DownloadDataFiles", 500, {}, "Kaggle is in trouble .500", 0),
        ("CONNECT api.kaggle.com", "refuse", {}, "cannot be reached.*HTTPS_PROXY", 0),
        ("DownloadDataFiles", "silence", {}, "did not answer in time", 0),
        ("DownloadDataFiles", "reset", {}, "cannot be reached", 0),
        (STORAGE, 503, {"retry_after": 600}, "HTTP 503.*come back in 10 min", 0),
        (STORAGE, "reset", {}, "cannot fetch .*connection", 0),
        (STORAGE, "silence", {"skip": 1}, "silence", 5000),
        (STORAGE, "short", {}, "came damaged twice", 0),
        (STORAGE, "corrupt", {}, "came damaged twice: its md5", 0),
        (STORAGE, "wrong md5", {}, "came damaged twice: its md5", 0),
    ],
)
def test_a_fault_that_lasts_ends_with_a_message_and_keeps_what_has_arrived(
    server, tmp_path, where, kind, details, says, keeps
):
    if keeps:
        server.fault(STORAGE, "cut", after=keeps)
        details = {}
    server.fault(where, kind, None, **details)
    done = ask(server, tmp_path, "download", "dog-breed", "--timeout", 2)
    assert done.returncode == 1
    assert re.search(says, message(done), re.S), message(done)
    assert not (tmp_path / "data" / "dog-breed").exists()
    part = tmp_path / "data" / ".dog-breed.download" / f"{SLUG}.zip.part"
    assert (part.stat().st_size if part.exists() else 0) == keeps
    server.heal()
    again = ask(server, tmp_path, "download", "dog-breed")
    assert again.returncode == 0, again.stderr
    assert is_complete(tmp_path)
    assert any(f"bytes={keeps}-" == request.headers.get("Range") for request in server.requests) is bool(keeps)


def test_a_killed_download_goes_on_where_it_stopped(server, tmp_path):
    silent = server.fault(STORAGE, "silence", after=30_000)
    environment = server.environment(tmp_path)
    command = [sys.executable, "-m", "kagglekit", "download", "dog-breed"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) as process:
        assert silent.happened.wait(60)
        part = tmp_path / "data" / ".dog-breed.download" / f"{SLUG}.zip.part"
        while not part.exists() or part.stat().st_size < 30_000:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    server.heal()
    done = ask(server, tmp_path, "download", "dog-breed")
    assert done.returncode == 0, done.stderr
    assert is_complete(tmp_path)
    assert server.requests[-1].headers["Range"] == "bytes=30000-"


def test_one_killed_while_it_unpacks_fetches_nothing_again(server, tmp_path, archive):
    workshop = tmp_path / "data" / ".dog-breed.download"
    (workshop / "unpacked" / "train").mkdir(parents=True)
    (workshop / "unpacked" / "train" / "half.jpg").write_bytes(b"half a picture")
    (workshop / f"{SLUG}.zip").write_bytes(archive)  # it gets this name when it is whole
    done = ask(server, tmp_path, "download", "dog-breed", credentials="none")
    assert done.returncode == 0, done.stderr
    assert is_complete(tmp_path)
    assert not server.requests


def test_of_two_processes_at_once_one_waits_for_the_other(server, tmp_path):
    slow = server.fault(STORAGE, "silence", after=30_000)
    environment = server.environment(tmp_path)
    command = [sys.executable, "-m", "kagglekit", "download", "dog-breed", "--timeout", "30"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    first = subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes)
    assert slow.happened.wait(60)
    second = subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes)
    heard = [process.communicate(timeout=120) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], heard
    assert "another process is downloading" in heard[1][0]
    assert server.count("DownloadDataFiles") == 1
    assert is_complete(tmp_path)


def hostile(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("labels.csv", "id,breed\n")
        archive.writestr(name, "evil")
    return buffer.getvalue()


def bad_member(archive: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as content:
        info = content.getinfo("labels.csv")
    start = info.header_offset + 30 + len("labels.csv")
    return archive[:start] + bytes([archive[start] ^ 255]) + archive[start + 1 :]


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/kagglekit-evil.txt", "..\\evil.txt", "C:/evil.txt"])
def test_a_hostile_archive_writes_nothing(server, tmp_path, name):
    server.add_competition(SLUG, hostile(name))
    done = ask(server, tmp_path, "download", "dog-breed")
    assert done.returncode == 1
    assert name.replace("\\", "\\\\") in message(done) or name in message(done)
    assert not [path for path in [*tmp_path.rglob("*evil*"), Path("/tmp/kagglekit-evil.txt")] if path.exists()]
    assert not (tmp_path / "data" / "dog-breed").exists()


def test_a_bad_member_is_named_and_the_archive_fetched_anew_the_next_time(server, tmp_path, archive):
    server.add_competition(SLUG, bad_member(archive))
    done = ask(server, tmp_path, "download", "dog-breed")
    assert done.returncode == 1
    assert re.search(r"cannot unpack .*labels\.csv", message(done))
    assert not (tmp_path / "data" / "dog-breed").exists()
    server.add_competition(SLUG, archive)
    assert ask(server, tmp_path, "download", "dog-breed").returncode == 0
    assert is_complete(tmp_path)


def test_archives_in_the_archive_are_unpacked_and_the_outer_one_is_kept_on_request(server, tmp_path):
    source = tmp_path / "source"
    write_dogs_vs_cats(source, zipped=True)
    server.add_competition("dogs-vs-cats-redux-kernels-edition", source)
    home = tmp_path / "home"
    home.mkdir()
    done = ask(server, home, "download", "dogs-vs-cats", "--keep-archives")
    assert done.returncode == 0, done.stderr
    assert "24 labelled images of 2 classes, 12 test images" in done.stdout
    names = {path.name for path in (home / "data" / "dogs-vs-cats").iterdir()}
    kept = "dogs-vs-cats-redux-kernels-edition.zip"
    assert names == {"train", "test", "sample_submission.csv", kept, ".kagglekit-download.json"}


def test_files_that_are_there_already_are_left_alone(server, tmp_path):
    own = tmp_path / "elsewhere" / "notes.txt"
    own.parent.mkdir()
    own.write_text("mine")
    done = ask(server, tmp_path, "download", "dog-breed", "--data", own.parent)
    assert done.returncode == 1
    assert "has files in it that kagglekit did not download: notes.txt" in message(done)
    assert own.read_text() == "mine"
    assert not server.requests


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_asked(server, tmp_path):
    (tmp_path / "file").write_text("")
    done = ask(server, tmp_path, "download", "dog-breed", KAGGLEKIT_DATA=str(tmp_path / "file"))
    assert done.returncode == 1
    assert "is a file" in message(done)
    assert not server.requests


def test_a_full_disk_keeps_what_has_arrived(server, tmp_path):
    limited = (
        "import resource, runpy, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"
        "sys.argv = ['kagglekit', 'download', 'dog-breed']\n"
        "runpy.run_module('kagglekit', run_name='__main__')\n"
    )
    done = server.run("-c", limited, cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot write" in message(done)
    assert (tmp_path / "data" / ".dog-breed.download" / f"{SLUG}.zip.part").stat().st_size == 40_000
    assert ask(server, tmp_path, "download", "dog-breed").returncode == 0
    assert is_complete(tmp_path)
    assert server.requests[-1].headers["Range"] == "bytes=40000-"


FISH = """
from kagglekit import Competition, RemoteFile, hookimpl, labels_from_folders

@hookimpl
def kagglekit_competition():
    return Competition(title="Fish", metric="accuracy", files=[
        RemoteFile(url="https://www.robots.ox.ac.uk/fish/images.tar.gz", md5="{md5}"),
        RemoteFile(url="https://www.robots.ox.ac.uk/fish/notes.txt"),
    ])

@hookimpl
def kagglekit_labels(data):
    assert (data / "notes.txt").read_text() == "fish"
    return labels_from_folders(data / "images")
"""


def test_open_files_need_no_account(server, tmp_path):
    write_pets(tmp_path / "source")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for file in sorted((tmp_path / "source" / "images").glob("*.jpg")):
            archive.add(file, f"images/{file.stem.rpartition('_')[0]}/{file.name}")
    server.add_file("https://www.robots.ox.ac.uk/fish/images.tar.gz", buffer.getvalue())
    server.add_file("https://www.robots.ox.ac.uk/fish/notes.txt", b"fish")
    (tmp_path / "fish.py").write_text(FISH.format(md5=md5(buffer.getvalue()).hexdigest()))
    server.fault("images.tar.gz", "cut", after=10_000)
    done = ask(server, tmp_path, "download", "./fish.py", credentials="none")
    assert done.returncode == 0, done.stderr
    assert "48 labelled images of 4 classes" in done.stdout
    assert "went on after a fault: cut in the middle" in done.stdout
    marker = json.loads((tmp_path / "data" / "fish" / ".kagglekit-download.json").read_text())
    assert [file["name"] for file in marker["files"]] == ["images.tar.gz", "notes.txt"]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("pets", "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz"),
        ("flowers-102", "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/102flowers.tgz"),
    ],
)
def test_oxfords_files_are_asked_for_at_their_addresses_and_their_checksums_count(server, tmp_path, name, address):
    server.add_file(address, b"not these")
    done = ask(server, tmp_path, "download", name, credentials="none")
    assert done.returncode == 1
    assert "came damaged twice: its md5 is" in message(done)
    assert left(tmp_path) == [f".{name}.download"]
    assert not list((tmp_path / "data" / f".{name}.download").iterdir())
    official = {
        "pets": {"images.tar.gz", "annotations.tar.gz"},
        "flowers-102": {"102flowers.tgz", "imagelabels.mat", "setid.mat"},
    }
    files = Hooks(load(name)).competition().files
    assert {file.name for file in files} == official[name]
    assert all(re.fullmatch("[0-9a-f]{32}", file.md5) for file in files)


def test_a_dry_run_downloads_nothing(server, tmp_path):
    done = ask(server, tmp_path, "run", "dog-breed", "--dry-run")
    assert done.returncode == 1
    assert "kagglekit download dog-breed" in message(done)
    assert not server.requests
    assert not (tmp_path / "data").exists()


def test_on_kaggle_the_attached_folder_is_used_in_place(tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_DATA", str(tmp_path / "own"))
    monkeypatch.setattr(data_place, "KAGGLE_INPUT", tmp_path / "input")
    facts = Competition(title="Fish", slug="fish-2026")
    assert existing_data(facts, "fish") is None
    for place in (
        tmp_path / "input" / "fish-2026",
        tmp_path / "input" / "competitions" / "fish-2026",
        tmp_path / "own" / "fish",
    ):
        place.mkdir(parents=True)
        (place / "labels.csv").write_text("id,label\n")
        assert existing_data(facts, "fish") == place
    shutil.rmtree(tmp_path / "own")
    assert existing_data(Competition(title="Open"), "fish") is None
    (tmp_path / "input" / "fish-2026" / "labels.csv").unlink()
    (tmp_path / "input" / "competitions" / "fish-2026" / "labels.csv").rename(tmp_path / "labels.csv")
    for name in (".DS_Store", "Thumbs.db", ".gitkeep", MARKER):
        (tmp_path / "input" / "fish-2026" / name).write_text("no data")
    assert existing_data(facts, "fish") is None


class Asked(Exception):
    """Somebody was asked for a file."""


def nobody() -> str:
    raise Asked


def get(folder: Path, *names: str, keep: bool = False) -> str:
    """Download files that an earlier call has fetched; return what was said."""
    said = io.StringIO()
    fetching = Fetching(Display(Console(file=said, width=1000)), 1, keep)
    assert download([Source(name, nobody) for name in names], "fish", folder, fetching, Patience(1)) == folder
    return said.getvalue()


def fetched(folder: Path, name: str, content: bytes) -> Path:
    """Write what a call leaves that was stopped after it had fetched a file."""
    workshop(folder).mkdir(parents=True, exist_ok=True)
    file = workshop(folder) / name
    file.write_bytes(content)
    return file


def zip_of(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_a_refused_archive_is_kept_and_refused_again_without_asking(tmp_path):
    folder = tmp_path / "fish"
    file = fetched(folder, "fish.zip", zip_of(**{"a.csv": b"1", "a/C:/evil.txt": b"2"}))
    for _ in range(2):
        with pytest.raises(BadArchive, match=r"fish\.zip has names that Windows .*: a/C:/evil\.txt") as caught:
            get(folder, "fish.zip")
        assert caught.value.hint == f"it is not used; {file} is kept, remove it to have it fetched again"
    assert file.exists()
    assert not folder.exists()


def test_a_broken_archive_in_the_archive_has_the_outer_one_fetched_anew(tmp_path):
    folder = tmp_path / "fish"
    inner = zip_of(**{"1.jpg": bytes(999)})[:-30]
    fetched(folder, "fish.zip", zip_of(**{"labels.csv": b"1", "train.zip": inner}))
    with pytest.raises(UserError, match=r"cannot unpack .*train\.zip.*") as caught:
        get(folder, "fish.zip")
    assert caught.value.hint == "fish.zip is removed: the same command fetches it again"
    assert not folder.exists()
    with pytest.raises(Asked):
        get(folder, "fish.zip")


def test_a_refused_archive_in_the_archive_leaves_the_outer_one(tmp_path):
    folder = tmp_path / "fish"
    file = fetched(folder, "fish.zip", zip_of(**{"train.zip": zip_of(**{"../1.jpg": b"1"})}))
    with pytest.raises(BadArchive, match=r"train\.zip would write outside of its folder"):
        get(folder, "fish.zip")
    assert file.exists()


def test_remains_that_cannot_be_removed_are_not_the_archives_fault(tmp_path):
    folder, victim = tmp_path / "fish", tmp_path / "victim"
    file = fetched(folder, "fish.zip", zip_of(**{"a.csv": b"1"}))
    victim.mkdir()
    (victim / "a.csv").write_text("mine")
    (workshop(folder) / "unpacked").symlink_to(victim)
    with pytest.raises(UserError, match=r"cannot remove .*unpacked, which a stopped download has left") as caught:
        get(folder, "fish.zip")
    assert not isinstance(caught.value, BadArchive)
    assert file.exists()
    assert (victim / "a.csv").read_text() == "mine"


@contextmanager
def disk_full_after(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_while_a_file_is_copied_is_told(tmp_path):
    folder = tmp_path / "fish"
    fetched(folder, "setid.mat", bytes(50_000))
    with disk_full_after(40_000), pytest.raises(UserError, match=r"cannot copy .*setid\.mat.*: .*\nfree some disk"):
        get(folder, "setid.mat")
    assert "unpacked 1 files" in get(folder, "setid.mat")
    assert (folder / "setid.mat").stat().st_size == 50_000


def root(tmp_path: Path) -> Path:
    return Path("/")


def file_as_workshop(tmp_path: Path) -> Path:
    (tmp_path / ".fish.download").write_text("")
    return tmp_path / "fish"


def folder_as_lock(tmp_path: Path) -> Path:
    (tmp_path / ".fish.lock").mkdir()
    return tmp_path / "fish"


def file_as_folder(tmp_path: Path) -> Path:
    (tmp_path / "fish").write_text("")
    return tmp_path / "fish"


def long_name(tmp_path: Path) -> Path:
    return tmp_path / ("x" * 300) / "fish"


def circle(tmp_path: Path) -> Path:
    (tmp_path / "fish").symlink_to("fish")
    return tmp_path / "fish"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (root, "cannot download into /: the root of a disk"),
        (file_as_workshop, r"cannot make the folder .*\.fish\.download: File exists"),
        (folder_as_lock, r"cannot lock .*\.fish\.lock: Is a directory"),
        (file_as_folder, r"cannot write to the folder .*: .*fish is a file"),
        (long_name, "File name too long"),
        (circle, "(cannot download into|the name) .*fish"),
    ],
)
def test_a_place_that_cannot_be_is_told_before_anything_is_asked(tmp_path, make, says):
    with pytest.raises(UserError, match=says) as caught:
        get(make(tmp_path), "fish.zip")
    assert "--data DIR" in caught.value.hint


def test_a_mount_point_is_told_before_anything_is_asked(tmp_path, monkeypatch):
    folder = tmp_path / "fish"
    folder.mkdir()

    def busy(self: Path) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "rmdir", busy)
    with pytest.raises(UserError, match=r"the name .*fish: Device or resource busy.*\n.*of a mount point"):
        get(folder, "fish.zip")
    assert names_in(folder) == set()


def test_a_link_to_an_empty_folder_is_followed(tmp_path):
    target, link = tmp_path / "large disk" / "fish", tmp_path / "fish"
    target.mkdir(parents=True)
    link.symlink_to(target)
    fetched(link, "fish.zip", zip_of(**{"a.csv": b"1"}))
    get(link, "fish.zip")
    assert link.is_symlink()
    assert names_in(target) == {"a.csv", MARKER}
    assert names_in(target.parent) == {"fish"}
    assert "complete" in get(link, "fish.zip")


def test_an_empty_folder_stays_where_a_download_fails(tmp_path):
    folder = tmp_path / "fish"
    folder.mkdir()
    with pytest.raises(Asked):
        get(folder, "fish.zip")
    assert names_in(folder) == set()
    assert names_in(workshop(folder)) == set()


def test_what_a_file_manager_left_does_not_stop_a_download_and_other_hidden_files_do(tmp_path):
    folder = tmp_path / "fish"
    fetched(folder, "fish.zip", zip_of(**{"a.csv": b"1"}))
    folder.mkdir()
    for name in (".DS_Store", MARKER, ".gitkeep"):  # of data that somebody has removed
        (folder / name).write_text("")
    with pytest.raises(UserError, match=r"has files in it that kagglekit did not download: .*\.gitkeep"):
        get(folder, "fish.zip")
    (folder / ".gitkeep").unlink()
    get(folder, "fish.zip")
    assert names_in(folder) == {"a.csv", MARKER}


@pytest.mark.parametrize("keep", [True, False])
def test_one_killed_before_it_tidied_is_tidied_by_the_next(tmp_path, keep):
    folder = tmp_path / "fish"
    fetched(folder, "fish.ZIP", zip_of(**{"a.csv": b"1"}))
    get(folder, "fish.ZIP")
    fetched(folder, "fish.ZIP", b"as large as the data")
    assert "complete" in get(folder, "fish.ZIP", keep=keep)
    assert names_in(folder) == {"a.csv", MARKER} | ({"fish.ZIP"} if keep else set())
    assert names_in(tmp_path) == {"fish"}


def test_the_command_line_tidies_too(server, tmp_path, archive):
    folder = tmp_path / "data" / "dog-breed"
    with zipfile.ZipFile(io.BytesIO(archive)) as content:
        content.extractall(folder)
    (folder / MARKER).write_text("{}")
    fetched(folder, f"{SLUG}.zip", archive)
    done = ask(server, tmp_path, "download", "dog-breed", "--keep-archives", credentials="none")
    assert done.returncode == 0, done.stderr
    assert is_complete(tmp_path)
    assert (folder / f"{SLUG}.zip").read_bytes() == archive
    assert not server.requests


def test_a_complete_folder_needs_no_place_to_write(tmp_path):
    (tmp_path / "fish").mkdir()
    for name in ("a.csv", MARKER):
        (tmp_path / "fish" / name).write_text("")
    assert "complete" in get(tmp_path / "fish", "fish.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["fish"]
