"""Kaggle's machines as the server that plays Kaggle has them: private datasets, kernels, their sessions and output."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any, TypeVar

from kaggle_storage import Storage
from kaggle_wire import Answer, Refused

Ask = dict[str, Any]
Files = Mapping[str, bytes]
Entry = TypeVar("Entry")
ACCELERATORS = ("NvidiaTeslaT4", "NvidiaTeslaP100", "TpuV38", "None")
PATIENCE = 1.0  # s that a request for the state waits for the end of a session
OVER = ("COMPLETE", "ERROR", "CANCEL_ACKNOWLEDGED")


@dataclass
class Dataset:
    """A dataset; `polls` is how many more times it is reported as not ready."""

    owner: str
    slug: str
    title: str
    licence: str
    private: bool
    versions: list[dict[str, bytes]]
    polls: int = 0

    @property
    def files(self) -> dict[str, bytes]:
        return self.versions[-1]


@dataclass(frozen=True)
class Outcome:
    """What a session leaves: its files, the lines it printed, and why it failed; empty if it did not."""

    files: Files = field(default_factory=dict)
    log: Sequence[str] = ()
    failure: str = ""


@dataclass
class Version:
    """A version of a kernel and its session.

    Attributes:
        number: From 1.
        asked: The request that saved it.
        queued: How many more times it is reported as queued; then `running`.
        running: How many more times it is reported as running.
        outcome: What its session leaves, once it is over.
        cancelled: Whether its session was cancelled, as anybody can on the website.
        session: Its end, once `Kernels.run` has begun.
    """

    number: int
    asked: Ask = field(repr=False)
    queued: int
    running: int
    outcome: Outcome | None = field(default=None, repr=False)
    cancelled: bool = False
    session: Future[Outcome] | None = field(default=None, repr=False)

    @property
    def text(self) -> str:
        return str(self.asked["text"])


@dataclass
class Kernel:
    """A kernel: its owner, its slug and title, and all versions."""

    owner: str
    slug: str
    title: str
    versions: list[Version] = field(default_factory=list)


class Kernels:
    """Datasets, kernels and what runs them.

    Attributes:
        user: The owner of everything.
        datasets: By slug.
        kernels: By slug.
        run: Does what a session would do, when it ends; a test may replace it.
        queued: How often a new version is reported as queued, and then as running.
        running: See `queued`.
        dataset_polls: How often a new dataset is reported as not ready.
        page: Files of a page of output, whatever the client asks for; 0 for what it asks for.
        quota: Hours of GPU a week, and the used ones; None for a client that has no such call.
        sources: Slugs of the competitions that a kernel may use.
        deleted: The refs of what was deleted.
    """

    def __init__(self, user: str, storage: Storage, sources: Callable[[], Sequence[str]]) -> None:
        self.user, self.storage, self.sources = user, storage, sources
        self.datasets: dict[str, Dataset] = {}
        self.kernels: dict[str, Kernel] = {}
        self.run: Callable[[Version], Outcome] = lambda version: Outcome()
        self.queued, self.running, self.dataset_polls, self.page = 1, 1, 1, 0
        self.quota: tuple[float, float] | None = (30.0, 0.0)
        self.deleted: list[str] = []
        self.rpcs: dict[str, Callable[[Ask], Ask | Answer]] = {
            "StartBlobUpload": self._start_blob,
            "GetDatasetStatus": self._dataset_status,
            "GetDataset": self._get_dataset,
            "ListDatasetFiles": self._dataset_files,
            "CreateDataset": self._create_dataset,
            "CreateDatasetVersion": self._create_version,
            "DeleteDataset": self._delete_dataset,
            "SaveKernel": self._save,
            "GetKernel": self._get_kernel,
            "ListKernels": self._list_kernels,
            "GetKernelSessionStatus": self._status,
            "ListKernelSessionOutput": self._output,
            "DeleteKernel": self._delete_kernel,
            "GetAcceleratorQuotaStatistics": self._quota,
        }

    @property
    def pushed(self) -> list[Version]:
        """Every version of every kernel, in the order of the kernels."""
        return [version for kernel in self.kernels.values() for version in kernel.versions]

    def _start_blob(self, ask: Ask) -> Ask:
        token, address = self.storage.start_upload(ask.get("name", ""), ask.get("contentLength", 0))
        return {"token": token, "createUrl": address}

    def _dataset(self, ask: Ask) -> Dataset:
        found = self.datasets.get(ask.get("datasetSlug", ""))
        if found is None or found.owner != ask.get("ownerSlug"):
            raise Refused(403, "Permission 'datasets.get' was denied")
        return found

    def _dataset_status(self, ask: Ask) -> Ask:
        dataset = self._dataset(ask)
        dataset.polls -= 1
        return {"status": "BLOBS_RECEIVED" if dataset.polls >= 0 else "READY"}

    def _get_dataset(self, ask: Ask) -> Ask:
        found = self._dataset(ask)
        return {
            "ref": f"{found.owner}/{found.slug}",
            "title": found.title,
            "isPrivate": found.private,
            "licenseName": found.licence,
            "currentVersionNumber": len(found.versions),
        }

    def _dataset_files(self, ask: Ask) -> Ask:
        page, token = page_of([*self._dataset(ask).files.items()], ask)
        files = [{"ref": name, "name": name, "totalBytes": len(content)} for name, content in page]
        return {"datasetFiles": files, "nextPageToken": token}

    def _create_dataset(self, ask: Ask) -> Ask:
        slug, title = ask.get("slug", ""), ask.get("title", "")
        for name, text in (("slug", slug), ("title", title)):
            if not 6 <= len(text) <= 50:
                return {"status": "error", "error": f"The dataset {name} must be between 6 and 50 characters"}
        if slug in self.datasets:
            return {"status": "error", "error": f'The requested slug "{slug}" is already in use by a dataset.'}
        made = Dataset(self.user, slug, title, ask.get("licenseName", ""), ask.get("isPrivate", False), [])
        return self._add_version(made, ask)

    def _create_version(self, ask: Ask) -> Ask:
        return self._add_version(self._dataset(ask), ask.get("body", {}))

    def _add_version(self, dataset: Dataset, ask: Ask) -> Ask:
        files = {}
        for each in ask.get("files", []):
            upload = self.storage.uploads.get(each.get("token", ""))
            if upload is None or not upload.complete:
                raise Refused(400, "Invalid or incomplete blob token")
            files[upload.name] = bytes(upload.content)
        if not files:
            return {"status": "error", "error": "A dataset needs at least one file"}
        dataset.versions.append(files)
        dataset.polls = self.dataset_polls
        self.datasets[dataset.slug] = dataset
        ref = f"{dataset.owner}/{dataset.slug}"
        return {"status": "ok", "ref": ref, "url": f"https://www.kaggle.com/datasets/{ref}"}

    def _delete_dataset(self, ask: Ask) -> Ask:
        found = self._dataset(ask)
        del self.datasets[found.slug]
        self.deleted.append(f"{found.owner}/{found.slug}")
        return {}

    def _save(self, ask: Ask) -> Ask:
        owner, _, slug = ask.get("slug", "").partition("/")
        title = ask.get("newTitle") or slug
        known = self.kernels.get(slug)
        if problem := self._problem(owner, title, known, ask):
            return {"error": problem}
        kernel = known or self.kernels.setdefault(slug_of(title), Kernel(owner, slug_of(title), title))
        version = Version(len(kernel.versions) + 1, ask, self.queued, self.running)
        kernel.versions.append(version)
        ref = f"/code/{owner}/{kernel.slug}"
        return {
            "ref": ref,
            "url": f"https://www.kaggle.com{ref}",
            "versionNumber": version.number,
            "invalidDatasetSources": [each for each in ask.get("datasetDataSources", []) if not self._is_there(each)],
            "invalidCompetitionSources": [
                each for each in ask.get("competitionDataSources", []) if each not in self.sources()
            ],
        }

    def _problem(self, owner: str, title: str, known: Kernel | None, ask: Ask) -> str:
        if owner != self.user:
            return "You do not have permission to save this notebook"
        if not 5 <= len(title) <= 50:
            return "Title must be between 5 and 50 characters"
        if not known and slug_of(title) in self.kernels:
            return f'The requested title "{title}" is already in use by a notebook. Please choose another title.'
        if ask.get("machineShape") and ask["machineShape"] not in ACCELERATORS:
            return f"Invalid machine shape: {ask['machineShape']}"
        return "" if ask.get("text") else "The source is empty"

    def _is_there(self, ref: str) -> bool:
        owner, _, slug = ref.partition("/")
        return owner == self.user and slug in self.datasets

    def _kernel(self, ask: Ask) -> Kernel:
        found = self.kernels.get(ask.get("kernelSlug", ""))
        if found is None or found.owner != ask.get("userName"):
            raise Refused(403, "Permission 'kernels.get' was denied")
        return found

    def version(self, ask: Ask) -> Version:
        """Return the version that a request names; the newest if it names none."""
        versions = self._kernel(ask).versions
        label = ask.get("versionLabel") or f"v{ask.get('kernelVersion') or len(versions)}"  # a bare number is unknown
        found = next((each for each in versions if label == f"v{each.number}"), None)
        if found is None:
            raise Refused(404, "Not found")
        return found

    def state(self, version: Version) -> str:
        """Return the state of a session, which each call brings nearer to its end."""
        if version.cancelled:
            return "CANCEL_ACKNOWLEDGED"
        if version.queued > 0:
            version.queued -= 1
            return "QUEUED"
        if version.running > 0:
            version.running -= 1
            return "RUNNING"
        if version.session is None:
            version.session = Future()
            Thread(target=_settle, args=(version.session, self.run, version)).start()
        try:
            version.outcome = version.session.result(timeout=PATIENCE)
        except TimeoutError:
            return "RUNNING"
        return "ERROR" if version.outcome.failure else "COMPLETE"

    def _status(self, ask: Ask) -> Ask:
        version = self.version(ask)
        state = self.state(version)
        failure = version.outcome.failure if version.outcome else ""
        return {"status": state, "failureMessage": failure} if failure else {"status": state}

    def _get_kernel(self, ask: Ask) -> Ask:
        kernel = self._kernel(ask)
        last = kernel.versions[-1]
        return {"metadata": self._described(kernel), "blob": {"source": last.text, "slug": kernel.slug}}

    def _described(self, kernel: Kernel) -> Ask:
        ref = f"{kernel.owner}/{kernel.slug}"
        return {"ref": ref, "title": kernel.title, "slug": kernel.slug, "currentVersionNumber": len(kernel.versions)}

    def _list_kernels(self, ask: Ask) -> Ask:
        found = [each for each in self.kernels.values() if ask.get("search", "").lower() in each.title.lower()]
        page, token = page_of(found, ask)
        return {"kernels": [self._described(each) for each in page], "nextPageToken": token}

    def _output(self, ask: Ask) -> Ask:
        version = self.version(ask)
        outcome = version.outcome or Outcome()
        page, token = page_of([*outcome.files.items()], {**ask, "pageSize": self.page or ask.get("pageSize")})
        slug = self._kernel(ask).slug
        files = [
            {"fileName": name, "url": self.storage.signed_url(f"/kernels/{slug}/{name}", content, name)}
            for name, content in page
        ]
        log = json.dumps(
            [{"stream_name": "stdout", "time": number, "data": f"{line}\n"} for number, line in enumerate(outcome.log)]
        )
        return {"files": files, "nextPageToken": token, "log": log if outcome.log else ""}

    def _delete_kernel(self, ask: Ask) -> Ask:
        found = self._kernel(ask)
        del self.kernels[found.slug]
        self.deleted.append(f"{found.owner}/{found.slug}")
        return {}

    def _quota(self, ask: Ask) -> Ask:
        if self.quota is None:
            raise Refused(404, "Not found")
        total, used = (f"{round(3600 * hours)}s" for hours in self.quota)
        refresh = (datetime.now(UTC) + timedelta(days=2)).replace(tzinfo=None).isoformat(timespec="milliseconds")
        gpu = {"timeUsed": used, "totalTimeAllowed": total, "timeReserved": "0s"}
        return {"quotaRefreshTime": f"{refresh}Z", "gpuQuota": gpu}


def _settle(session: Future[Outcome], run: Callable[[Version], Outcome], version: Version) -> None:
    try:
        session.set_result(run(version))
    except BaseException as error:  # whoever asks for the state gets it
        session.set_exception(error)


def slug_of(title: str) -> str:
    """Return the slug that Kaggle makes of a title."""
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))


def page_of(entries: Sequence[Entry], ask: Ask) -> tuple[Sequence[Entry], str]:
    """Return a page of a list, and the token of the next; empty after the last."""
    start = int(ask.get("pageToken") or 0)
    end = start + int(ask.get("pageSize") or 20)
    return entries[start:end], str(end) if end < len(entries) else ""
