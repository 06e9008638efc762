"""What several test modules share: a cache of their own for each, a host, and what takes seconds to make."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import file_host
import forks
import four_stages
import pytest
from places import DISTRIBUTIONS

from kagglekit.system.limits import cores, wait_passively

if TYPE_CHECKING:
    from file_host import Host

    from kagglekit import Run

# Before torch and NumPy are imported: their threads wait for one another by spinning, which takes minutes where two
# processes share two cores. So nothing above may import them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before onnxruntime is: tests ask no host
wait_passively()  # tests that compute with two threads
MOST_WORKERS = 4  # each may take two GB, and imports everything
PACKAGES = sorted(DISTRIBUTIONS.glob("kagglekit-*"))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """All tests: a worker a core and one more, since many wait for a server, a file or a process, up to `MOST_WORKERS`.

    Those that are named: none, since a worker's start takes longer than most of them.
    """
    named = config.args_source is not pytest.Config.ArgsSource.TESTPATHS
    return 0 if named or cores() < 2 else min(int(cores()) + 1, MOST_WORKERS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("long") is None)  # else one worker ends alone


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in its background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("numprocesses", None):
        forks.start_server()  # for all workers


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give each module an empty cache folder: no test sees the developer's own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("KAGGLEKIT_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True, scope="module")
def _four_stages(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let quick recipes have the stages that tests count on, except where the recipes themselves are tested."""
    with nullcontext() if request.path.parent.name in four_stages.OWN else four_stages.used():
        yield


@pytest.fixture
def host() -> Iterator[Host]:
    """Return a host that offers one file, and fails as its script says."""
    with file_host.hosting() as host:
        yield host


@pytest.fixture(scope="session")
def plugin_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the Python of an environment that sees the running one, with each example installed by pip."""
    folder = tmp_path_factory.mktemp("plugins") / "env"
    venv.EnvBuilder(system_site_packages=True, symlinks=True).create(folder)
    python = str(folder / "bin" / "python")
    _show_running_environment(folder)
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--root-user-action=ignore"]
    subprocess.run([*command, *map(str, PACKAGES)], check=True, capture_output=True, text=True, timeout=300)
    return python


@pytest.fixture(scope="session")
def plugin_site(plugin_python: str) -> Path:
    """Return the folder of that environment in which the examples are: on sys.path, they are installed here, too."""
    (site_packages,) = Path(plugin_python).parents[1].glob("lib/python*/site-packages")
    return site_packages


def _show_running_environment(folder: Path) -> None:
    """System site-packages are those of the base Python: a .pth file adds the running environment's, with its own."""
    (site_packages,) = folder.glob("lib/python*/site-packages")
    places = dict.fromkeys(sysconfig.get_paths()[kind] for kind in ("purelib", "platlib"))
    lines = [f"import site; site.addsitedir({place!r})" for place in places]
    (site_packages / "running_environment.pth").write_text("\n".join(lines) + "\n")


@dataclass(frozen=True)
class Finished:
    """A finished run of dog-breed on tiny pictures.

    Attributes:
        run: Its folder; whoever changes it puts it back.
        data: What it was trained on; likewise.
        said: What it printed.
        truth: The test images' classes.
    """

    run: Run
    data: Path
    said: str
    truth: dict[str, str]


@pytest.fixture(scope="session")
def dogs(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    import layouts
    from tiny_runs import tiny_run  # and with it torch and timm, ten seconds that many files do without

    data = tmp_path_factory.mktemp("dog-breed") / "data"
    truth = layouts.write_dog_breed(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAGGLEKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        with four_stages.used():  # whichever module asks first
            run, said = tiny_run("dog-breed", data, tmp_path_factory.mktemp("out"))
    return Finished(run, data, said, truth)
