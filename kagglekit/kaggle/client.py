"""Calls to Kaggle through its official client: temporary errors are retried, lasting ones become a `UserError`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any, TypeVar

from kagglekit.kaggle.demands import Demands, demands_of
from kagglekit.kaggle.facts import Facts, KernelVersion, Limits, Submission
from kagglekit.kaggle.failures import explain
from kagglekit.kaggle.retry import RetryPolicy, call
from kagglekit.kaggle.service import request_of, request_with, send
from kagglekit.system.display.console import amount
from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    from requests import Response

T = TypeVar("T")
PAGE = 100  # list entries per call; the client's own default of 20 truncates lists
MAX_LEADERBOARD = 50_000_000  # bytes of the zip file; the largest competitions have a few MB
MAX_FILES = 1000  # files listed per competition: enough to see the layout


@dataclass(frozen=True)
class Kaggle:
    """A login to Kaggle.

    Attributes:
        api: The official client.
        retry: How long temporary errors are retried.
    """

    api: Any
    retry: RetryPolicy

    @property
    def user(self) -> str:
        """The user's name."""
        return str(self.api.config_values.get("username") or "")

    def competition(self, slug: str) -> Facts:
        """Fetch a competition's facts.

        Raises:
            UserError: There is no such competition, or the call fails.
        """
        response = self._ask("get_competition", slug, competition_name=slug)
        return Facts(
            slug=slug,
            title=_line(response.title) or slug,
            metric=_line(response.evaluation_metric),
            deadline=response.deadline.replace(tzinfo=UTC) if response.deadline else None,
            entered=bool(response.user_has_entered),
            daily=response.max_daily_submissions or 0,
            code_only=bool(response.is_kernels_submissions_only),
            disabled=bool(response.submissions_disabled),
        )

    def is_code_only(self, slug: str) -> bool:
        """Return whether a competition accepts notebooks alone; False if Kaggle does not respond at once."""
        try:
            return bool(self._call("get_competition", competition_name=slug).is_kernels_submissions_only)
        except Exception:
            return False

    def demands(self, slug: str) -> Demands:
        """Return what a competition's pages demand of notebooks; nothing if Kaggle does not respond at once."""
        try:
            pages = self._call("list_competition_pages", competition_name=slug).pages or []
        except Exception:
            return Demands()
        return demands_of({each.name: each.content for each in pages})

    def files(self, slug: str) -> dict[str, int]:
        """List the names and sizes (bytes) of a competition's files, at most `MAX_FILES`.

        Raises:
            UserError: The call fails.
        """
        found: dict[str, int] = {}
        token = ""
        while len(found) < MAX_FILES:
            response = self._ask("list_data_files", slug, competition_name=slug, page_size=PAGE, page_token=token)
            found |= {each.name: each.total_bytes for each in response.files or []}
            token = response.next_page_token
            if not token:
                break
        return found

    def data_address(self, slug: str) -> str:
        """Fetch the signed address, which expires, of the zip file with all of a competition's data.

        Raises:
            UserError: Kaggle refuses the download, or the call fails.
        """
        response: Response = self._ask("download_data_files", slug, redirects=False, competition_name=slug)
        with response:
            if "Location" not in response.headers:
                raise UserError(f"Kaggle returned no download address for {slug}", "try again later")
            return str(response.headers["Location"])

    def limits(self, slug: str) -> Limits:
        """Fetch the number of submissions made and left today.

        Raises:
            UserError: The call fails.
        """
        response = self._ask("get_submission_limits", slug, competition_name=slug)
        return Limits(response.num_today, response.num_allowed_now)

    def start_upload(self, slug: str, file_name: str, n_bytes: int, modified: int) -> tuple[str, str]:
        """Announce an upload; return the token that identifies it and the address for its bytes.

        Raises:
            UserError: Kaggle refuses it, or the call fails.
        """
        response = self._ask(
            "start_submission_upload",
            slug,
            competition_name=slug,
            file_name=file_name,
            content_length=n_bytes,
            last_modified_epoch_seconds=modified,
        )
        return response.token, response.create_url

    def create_submission(self, slug: str, blob: str, description: str) -> tuple[int, str]:
        """Turn an upload into a submission, in one attempt; return its ref (0 on failure) and Kaggle's message.

        Raises:
            requests.RequestException: The call failed. The submission may exist anyway.
        """
        response = self._call(
            "create_submission", competition_name=slug, blob_file_tokens=blob, submission_description=description
        )
        return response.ref, _line(response.message)

    def create_code_submission(
        self, slug: str, kernel: KernelVersion, file_name: str, description: str
    ) -> tuple[int, str]:
        """Submit what a version of a kernel has written; as `create_submission`."""
        owner, _, name = kernel.ref.partition("/")
        response = self._call(
            "create_code_submission",
            competition_name=slug,
            kernel_owner=owner,
            kernel_slug=name,
            kernel_version=kernel.number,
            file_name=file_name,
            submission_description=description,
        )
        return response.ref, _line(response.message)

    def submission(self, ref: int) -> Submission:
        """Fetch one submission.

        Raises:
            UserError: There is none with this number, or the call fails.
        """
        from requests import HTTPError

        try:
            return _submission(call(self.retry, lambda: self._call("get_submission", ref=ref)))
        except HTTPError as error:
            if error.response is not None and error.response.status_code in (403, 404):
                what = f"Kaggle has no submission {ref} for this account"
                raise UserError(what, "kagglekit history lists your runs and their submissions") from error
            raise explain(error, "", lambda _: None) from error
        except Exception as error:
            raise explain(error, "", lambda _: None) from error

    def find_submission(self, slug: str, token: str) -> Submission | None:
        """Return the submission whose description contains `token`; None if it is not among the newest.

        Raises:
            UserError: The call fails.
        """
        response = self._ask("list_submissions", slug, competition_name=slug, page_size=PAGE)
        return next((_submission(each) for each in response.submissions or [] if token in each.description), None)

    def leaderboard(self, slug: str) -> bytes:
        """Fetch the public leaderboard: the bytes of a zip file with a CSV.

        Raises:
            UserError: The call fails.
        """

        def whole() -> bytes:
            with self._call("download_leaderboard", competition_name=slug) as response:
                content = bytearray()
                for block in response.iter_content(1 << 16):
                    content += block
                    if len(content) > MAX_LEADERBOARD:
                        raise UserError(
                            f"the leaderboard of {slug} is larger than {amount(MAX_LEADERBOARD)}",
                            f"see https://www.kaggle.com/c/{slug}/leaderboard",
                        )
                return bytes(content)

        return self._retried(whole, slug)

    def _ask(self, rpc: str, slug: str, redirects: bool = True, **fields: Any) -> Any:
        return self._retried(lambda: self._call(rpc, redirects, **fields), slug)

    def _retried(self, ask: Callable[[], T], slug: str) -> T:
        try:
            return call(self.retry, ask)
        except UserError:
            raise
        except Exception as error:
            raise explain(error, slug, self._entered) from error

    def _entered(self, slug: str) -> bool | None:
        """Ask once whether the rules are accepted, which a bare 403 does not say; None if the slug is unknown."""
        try:
            return bool(self._call("get_competition", competition_name=slug).user_has_entered)
        except Exception:
            return None

    def ask(self, service: str, rpc: str, body: Mapping[str, Any]) -> Any:
        """Make a call of any service: temporary errors are retried.

        Args:
            service: One of `kagglekit.kaggle.service.SERVICES`.
            rpc: The client's name of the call.
            body: The request, as in JSON.

        Raises:
            UserError: Kaggle refuses it, or cannot be reached.
        """
        return self._retried(lambda: self.once(service, rpc, body), "")

    def once(self, service: str, rpc: str, body: Mapping[str, Any]) -> Any:
        """Make the same call in one attempt.

        Raises:
            requests.RequestException: The call failed. It may have been executed anyway.
        """
        return send(self.api, service, rpc, request_of(service, rpc).from_dict(dict(body)))

    def _call(self, rpc: str, redirects: bool = True, **fields: Any) -> Any:
        """Make one call about competitions in one attempt."""
        return send(self.api, "competitions", rpc, request_with("competitions", rpc, fields), redirects)


def _submission(response: Any) -> Submission:
    return Submission(
        ref=response.ref,
        description=response.description,
        status=response.status.name.lower(),
        public=_score(response.public_score),
        private=_score(response.private_score),
        error=_line(response.error_description),
        file_name=response.file_name,
        date=response.date.isoformat(timespec="seconds") + "Z" if response.date else "",
    )


def _line(text: str | None) -> str:
    """Return a text of Kaggle on one line, so that no part of it looks like a line of ours."""
    return " ".join((text or "").split())


def _score(text: str) -> float | None:
    """Parse a score; None while it is unknown and its text empty."""
    try:
        return float(text)
    except ValueError:
        return None
