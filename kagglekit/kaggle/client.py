"""What can be asked of Kaggle through its official client, with patience; what lasts is a `UserError`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from kagglekit.kaggle.failures import explained
from kagglekit.kaggle.retry import RetryPolicy, call
from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    from requests import Response

Answer = TypeVar("Answer")
PAGE = 100  # entries of a list in one call; the client's own default of 20 cuts lists off
MOST_FILES = 1000  # of a competition that are listed: enough to see what lies where


@dataclass(frozen=True)
class Facts:
    """What Kaggle says of a competition.

    Attributes:
        slug: Its name in addresses.
        title: As people know it.
        metric: Kaggle's name of it.
        deadline: In UTC; None if there is none.
        entered: Whether the account has accepted the rules.
        daily: Submissions allowed in a day; 0 if unknown.
        code_only: Whether only notebooks can be submitted.
        disabled: Whether no submissions are taken.
    """

    slug: str
    title: str
    metric: str
    deadline: datetime | None
    entered: bool
    daily: int
    code_only: bool
    disabled: bool

    @property
    def over(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and self.deadline < datetime.now(UTC)


@dataclass(frozen=True)
class Limits:
    """Submissions of today, UTC: how many were made, and how many more are allowed."""

    today: int
    left: int


@dataclass(frozen=True)
class Submission:
    """A submission as Kaggle has it.

    Attributes:
        ref: Kaggle's number.
        description: What was sent with it.
        status: ``pending``, ``complete`` or ``error``.
        public: Score on the public part; None until it is known.
        private: Score on the private part; None while Kaggle keeps it back.
        error: Kaggle's reason; empty if there is none.
        file_name: Of the file that was sent.
        date: When, ISO, UTC.
    """

    ref: int
    description: str
    status: str
    public: float | None
    private: float | None
    error: str
    file_name: str
    date: str


@dataclass(frozen=True)
class Kaggle:
    """A login to Kaggle.

    Attributes:
        api: The official client.
        patience: How long faults are put up with.
    """

    api: Any
    patience: RetryPolicy

    def competition(self, slug: str) -> Facts:
        """Ask for a competition's facts.

        Raises:
            UserError: There is no such competition, or Kaggle can't be asked.
        """
        answer = self._ask("get_competition", slug, competition_name=slug)
        return Facts(
            slug=slug,
            title=answer.title or slug,
            metric=answer.evaluation_metric or "",
            deadline=answer.deadline.replace(tzinfo=UTC) if answer.deadline else None,
            entered=bool(answer.user_has_entered),
            daily=answer.max_daily_submissions or 0,
            code_only=bool(answer.is_kernels_submissions_only),
            disabled=bool(answer.submissions_disabled),
        )

    def files(self, slug: str) -> dict[str, int]:
        """Ask for the names and sizes, bytes, of a competition's files: the first `MOST_FILES`.

        Raises:
            UserError: Kaggle can't be asked.
        """
        found: dict[str, int] = {}
        token = ""
        while len(found) < MOST_FILES:
            answer = self._ask("list_data_files", slug, competition_name=slug, page_size=PAGE, page_token=token)
            found |= {each.name: each.total_bytes for each in answer.files or []}
            token = answer.next_page_token
            if not token:
                break
        return found

    def data_address(self, slug: str) -> str:
        """Ask for the signed address of the zip file with all of a competition's data; it expires.

        Raises:
            UserError: The data are refused; the message says why.
        """
        answer: Response = self._ask("download_data_files", slug, redirects=False, competition_name=slug)
        with answer:
            if "Location" not in answer.headers:
                raise UserError(f"Kaggle gives no address for the data of {slug}", "try again later")
            return str(answer.headers["Location"])

    def limits(self, slug: str) -> Limits:
        """Ask how many submissions are left today.

        Raises:
            UserError: Kaggle can't be asked.
        """
        answer = self._ask("get_submission_limits", slug, competition_name=slug)
        return Limits(answer.num_today, answer.num_allowed_now)

    def start_upload(self, slug: str, file_name: str, n_bytes: int, modified: int) -> tuple[str, str]:
        """Announce a file; return the token that names it afterwards, and the address for its bytes.

        Raises:
            UserError: It is refused.
        """
        answer = self._ask(
            "start_submission_upload",
            slug,
            competition_name=slug,
            file_name=file_name,
            content_length=n_bytes,
            last_modified_epoch_seconds=modified,
        )
        return answer.token, answer.create_url

    def create_submission(self, slug: str, blob: str, description: str) -> tuple[int, str]:
        """Make an uploaded file a submission, in one attempt; return its ref (0: it failed) and Kaggle's words.

        Raises:
            requests.RequestException: What went wrong. The submission may exist all the same.
        """
        answer = self._call(
            "create_submission", competition_name=slug, blob_file_tokens=blob, submission_description=description
        )
        return answer.ref, answer.message

    def submission(self, ref: int) -> Submission:
        """Ask for one submission.

        Raises:
            UserError: There is none with this number, or Kaggle can't be asked.
        """
        from requests import HTTPError

        try:
            return _submission(call(self.patience, lambda: self._call("get_submission", ref=ref)))
        except HTTPError as error:
            if error.response is not None and error.response.status_code in (403, 404):
                raise UserError(f"Kaggle knows no submission {ref} of this account", "kagglekit history") from error
            raise explained(error, "", lambda _: None) from error
        except Exception as error:
            raise explained(error, "", lambda _: None) from error

    def find_submission(self, slug: str, token: str) -> Submission | None:
        """Look for the submission whose description holds `token`, among the newest.

        Raises:
            UserError: Kaggle can't be asked.
        """
        answer = self._ask("list_submissions", slug, competition_name=slug, page_size=PAGE)
        return next((_submission(each) for each in answer.submissions or [] if token in each.description), None)

    def leaderboard(self, slug: str) -> bytes:
        """Fetch the public leaderboard: the bytes of a zip file with a CSV.

        Raises:
            UserError: Kaggle can't be asked.
        """

        def whole() -> bytes:
            with self._call("download_leaderboard", competition_name=slug) as answer:
                return bytes(answer.content)

        return self._patiently(whole, slug)

    def _ask(self, rpc: str, slug: str, redirects: bool = True, **fields: Any) -> Any:
        return self._patiently(lambda: self._call(rpc, redirects, **fields), slug)

    def _patiently(self, ask: Callable[[], Answer], slug: str) -> Answer:
        try:
            return call(self.patience, ask)
        except UserError:
            raise
        except Exception as error:
            raise explained(error, slug, self._entered) from error

    def _entered(self, slug: str) -> bool | None:
        """Ask, once, whether the rules are accepted: what a bare 403 does not say. None if the slug is unknown."""
        try:
            return bool(self._call("get_competition", competition_name=slug).user_has_entered)
        except Exception:
            return None

    def _call(self, rpc: str, redirects: bool = True, **fields: Any) -> Any:
        """Make one call, in one attempt."""
        from kagglesdk.competitions.types import competition_api_service as types

        request = getattr(types, "Api" + "".join(word.capitalize() for word in rpc.split("_")) + "Request")()
        for name, value in fields.items():
            setattr(request, name, value)
        with self.api.build_kaggle_client() as client:
            if not redirects:
                client.http_client()._session.resolve_redirects = lambda *_, **__: iter(())
            return getattr(client.competitions.competition_api_client, rpc)(request)


def _submission(answer: Any) -> Submission:
    return Submission(
        ref=answer.ref,
        description=answer.description,
        status=answer.status.name.lower(),
        public=_score(answer.public_score),
        private=_score(answer.private_score),
        error=answer.error_description,
        file_name=answer.file_name,
        date=answer.date.isoformat(timespec="seconds") + "Z" if answer.date else "",
    )


def _score(text: str) -> float | None:
    """Read a score, which is a text; empty while it is not known."""
    try:
        return float(text)
    except ValueError:
        return None
