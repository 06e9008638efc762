"""Kaggle's side of the calls for competitions: responses and refusals."""

from __future__ import annotations

import base64
import csv
import io
import json
import zipfile
from collections.abc import Callable
from datetime import datetime
from typing import Any

from kaggle_contest import LONG_AGO, Contest, Submission
from kaggle_kernels import OVER, Kernels, page_of
from kaggle_storage import MODIFIED, Storage
from kaggle_wire import Answer, Refused, Request, json_answer, refusal

Ask = dict[str, Any]

USER = "ada"
KEY = "5d1f00dc0ffee0123456789abcdef012"
TOKEN = "KGAT_good-0123456789abcdef"
ACCESS, REFRESH = "access-0123456789abcdef", "refresh-0123456789abcdef"
COLUMNS = ("Rank", "TeamId", "TeamName", "LastSubmissionDate", "Score", "SubmissionCount", "TeamMemberUserNames")


class Play:
    """What Kaggle knows, and how it responds.

    Attributes:
        contests: The competitions by slug.
        storage: Where files are fetched from and sent to.
        kernels: Datasets, kernels and their sessions.
        form: Of refusals, see `kaggle_wire.refusal`.
        unknown_status: The status for a slug that does not exist: 403 or 404.
    """

    def __init__(self, storage: Storage) -> None:
        self.contests: dict[str, Contest] = {}
        self.storage = storage
        self.kernels = Kernels(USER, storage, lambda: [*self.contests])
        self.form = "message"
        self.unknown_status = 403
        self._rpcs: dict[str, Callable[[Ask], Ask | Answer]] = {
            "ListCompetitions": self._list_competitions,
            "GetCompetition": lambda ask: _facts(self._contest(ask)),
            "ListCompetitionPages": self._list_pages,
            "ListDataFiles": self._list_files,
            "DownloadDataFiles": self._download_all,
            "DownloadDataFile": self._download_one,
            "StartSubmissionUpload": self._start_upload,
            "CreateSubmission": self._create_submission,
            "CreateCodeSubmission": self._create_code_submission,
            "ListSubmissions": self._list_submissions,
            "GetSubmission": self._get_submission,
            "GetSubmissionLimits": self._limits,
            "GetLeaderboard": self._leaderboard,
            "DownloadLeaderboard": self._download_leaderboard,
            **self.kernels.rpcs,
        }
        self._logins: dict[str, Callable[[Ask], Ask]] = {  # asked without credentials
            "IntrospectToken": _introspect,
            "GenerateAccessToken": _renew,
        }

    def answer(self, request: Request, content: bytes) -> Answer:
        """Return the response to a call."""
        rpc = request.path.rpartition("/")[2]
        try:
            call = self._logins.get(rpc) or self._rpcs.get(rpc)
            if call is None or request.method != "POST":
                raise Refused(404, f"no such call: {request}")
            if rpc not in self._logins and not _logged_in(request):
                raise Refused(401, "Unauthenticated")
            said = call(json.loads(content or b"{}"))
        except Refused as error:
            return refusal(error.status, error.message, self.form)
        return said if isinstance(said, Answer) else json_answer(said)

    def _contest(self, ask: Ask) -> Contest:
        contest = self.contests.get(ask.get("competitionName", ""))
        if contest is None:
            known = "Permission 'competitions.get' was denied" if self.unknown_status == 403 else "Not found"
            raise Refused(self.unknown_status, known)
        return contest

    def _entered(self, ask: Ask, purpose: str) -> Contest:
        contest = self._contest(ask)
        if not contest.verified:
            raise Refused(403, "You must verify your account with a phone number before you can take part.")
        if not contest.entered:
            raise Refused(403, f"You must accept this competition's rules before you'll be able to {purpose}.")
        return contest

    def _open(self, ask: Ask, by_kernel: bool = False) -> Contest:
        """Return a competition that accepts files, or the output of kernels."""
        contest = self._entered(ask, "make submissions")
        if contest.disabled:
            raise Refused(400, "Submissions are disabled for this competition.")
        if contest.code_only and not by_kernel:
            raise Refused(400, "This competition only accepts submissions from Kaggle Notebooks.")
        if contest.over and not contest.late:
            raise Refused(400, "The submission deadline for this competition has passed.")
        return contest

    def _list_competitions(self, ask: Ask) -> Ask:
        page, token = page_of([*self.contests.values()], ask)
        return {"competitions": [_facts(each) for each in page], "nextPageToken": token}

    def _list_pages(self, ask: Ask) -> Ask:
        return {"pages": [{"name": name, "content": content} for name, content in self._contest(ask).pages.items()]}

    def _list_files(self, ask: Ask) -> Ask:
        page, token = page_of([*self._contest(ask).members.items()], ask)
        files = [
            {"ref": name, "name": name, "totalBytes": len(content), "creationDate": _date(LONG_AGO)}
            for name, content in page
        ]
        return {"files": files, "nextPageToken": token}

    def _download_all(self, ask: Ask) -> Answer:
        contest = self._entered(ask, "download files")
        path = f"/kaggle-competitions-data/kaggle-v2/{contest.slug}/bundle/archive.zip"
        return _redirect(self.storage.signed_url(path, contest.archive, f"{contest.slug}.zip"))

    def _download_one(self, ask: Ask) -> Answer:
        contest = self._entered(ask, "download files")
        name = ask.get("fileName", "")
        if name not in contest.members:
            raise Refused(404, "Not found")
        path = f"/kaggle-competitions-data/kaggle-v2/{contest.slug}/files/{name}"
        return _redirect(self.storage.signed_url(path, contest.members[name], name.rpartition("/")[2]))

    def _start_upload(self, ask: Ask) -> Ask:
        self._open(ask)
        token, address = self.storage.start_upload(ask.get("fileName", ""), ask.get("contentLength", 0))
        return {"token": token, "createUrl": address}

    def _create_submission(self, ask: Ask) -> Ask:
        contest = self._open(ask)
        upload = self.storage.uploads.get(ask.get("blobFileTokens", ""))
        if upload is None or not upload.complete:
            raise Refused(400, "The file was not uploaded.")
        return self._submitted(contest, upload.name, bytes(upload.content), ask)

    def _create_code_submission(self, ask: Ask) -> Ask:
        contest = self._open(ask, by_kernel=True)
        version = self.kernels.version({**ask, "userName": ask.get("kernelOwner")})
        name = ask.get("fileName", "")
        if self.kernels.state(version) not in OVER or version.outcome is None or name not in version.outcome.files:
            raise Refused(400, f"Could not find {name} in the output of this notebook version.")
        if version.asked.get("enableInternet"):
            raise Refused(400, "This competition does not allow notebooks with internet access.")
        return self._submitted(contest, name, version.outcome.files[name], ask)

    def _submitted(self, contest: Contest, name: str, content: bytes, ask: Ask) -> Ask:
        if contest.today >= contest.max_daily:
            raise Refused(400, f"Your team has used its daily submission allowance ({contest.max_daily}) today.")
        ref = 40_000_000 + sum(len(each.submissions) for each in self.contests.values()) + 1
        contest.submit(ref, name, ask.get("submissionDescription", ""), content)
        return {"message": f"Successfully submitted to {contest.title or contest.slug}", "ref": ref}

    def _list_submissions(self, ask: Ask) -> Ask:
        contest = self._contest(ask)
        page, token = page_of(contest.listed, ask)
        return {"submissions": [_described(contest, each) for each in page], "nextPageToken": token}

    def _get_submission(self, ask: Ask) -> Ask:
        for contest in self.contests.values():
            for made in contest.submissions:
                if made.ref == ask.get("ref"):
                    return _described(contest, made)
        raise Refused(404, "Not found")

    def _limits(self, ask: Ask) -> Ask:
        contest = self._contest(ask)
        if not contest.entered:  # there is no team yet
            return {"numToday": 0, "numTotal": 0, "numAllowedNow": 0}
        total = contest.used_today + len(contest.submissions)
        left = max(0, contest.max_daily - contest.today)
        return {"numToday": contest.today, "numTotal": total, "numAllowedNow": left}

    def _leaderboard(self, ask: Ask) -> Ask:
        teams = [
            {"teamId": number, "teamName": name, "submissionDate": _date(LONG_AGO), "score": f"{score:.5f}"}
            for number, (name, score) in enumerate(self._contest(ask).teams, start=1)
        ]
        page, token = page_of(teams, ask)
        return {"submissions": page, "nextPageToken": token}

    def _download_leaderboard(self, ask: Ask) -> Answer:
        contest = self._contest(ask)
        table = io.StringIO()
        lines = csv.writer(table)
        lines.writerow(COLUMNS)
        for rank, (name, score) in enumerate(contest.teams, start=1):
            lines.writerow((rank, 100 + rank, name, f"{LONG_AGO:%Y-%m-%d %H:%M:%S}", f"{score:.5f}", 3, f"user{rank}"))
        memory = io.BytesIO()
        with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{contest.slug}-publicleaderboard.csv", table.getvalue().encode("utf-8-sig"))
        return Answer(200, memory.getvalue(), (("Content-Type", "application/zip"), ("Last-Modified", MODIFIED)))


def _logged_in(request: Request) -> bool:
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind == "Basic":
        return base64.b64decode(value).decode() == f"{USER}:{KEY}"
    return kind == "Bearer" and value in {TOKEN, ACCESS}


def _introspect(ask: Ask) -> Ask:
    """Check a token; by RFC 7662 an invalid one is not an error, but not active."""
    active = ask.get("token") in {TOKEN, ACCESS}
    return {"active": True, "username": USER, "userId": 1} if active else {"active": False}


def _renew(ask: Ask) -> Ask:
    if ask.get("refreshToken") != REFRESH:
        raise Refused(401, "Unauthenticated")
    return {"token": ACCESS, "expiresIn": 43200, "userName": USER}


def _redirect(address: str) -> Answer:
    return Answer(302, b"", (("Location", address),))


def _facts(contest: Contest) -> Ask:
    address = f"https://www.kaggle.com/competitions/{contest.slug}"
    facts = {
        "id": 7327,
        "ref": address,
        "url": address,
        "title": contest.title or contest.slug,
        "deadline": _date(contest.deadline) if contest.deadline else None,
        "teamCount": len(contest.teams),
        "userHasEntered": contest.entered,
        "maxDailySubmissions": contest.max_daily,
        "evaluationMetric": contest.metric,
        "awardsPoints": contest.medals,
        "isKernelsSubmissionsOnly": contest.code_only,
        "submissionsDisabled": contest.disabled,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _described(contest: Contest, made: Submission) -> Ask:
    """Describe a submission; each call brings it nearer to its score."""
    status = made.status
    made.polls -= 1
    known = status == "COMPLETE"
    return {
        "ref": made.ref,
        "totalBytes": len(made.content),
        "date": _date(made.date),
        "description": made.description,
        "errorDescription": made.error if status == "ERROR" else "",
        "fileName": made.file_name,
        "publicScore": f"{made.public:.5f}" if known else "",
        "privateScore": f"{made.private:.5f}" if known and contest.over else "",
        "status": status,
        "submittedBy": USER,
        "teamName": USER,
    }


def _date(when: datetime) -> str:
    return when.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
