"""What was uploaded to Kaggle, as score.json has it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Upload(BaseModel):
    """An upload to Kaggle, as score.json has it: see `Run.submissions`."""

    model_config = ConfigDict(extra="allow")

    token: str = ""
    ref: int | None = None
    sent: str = ""
    message: str = ""
    status: str
    public: float | str | None = None
    private: float | str | None = None
    error: str | None = ""
    sha256: str = ""


class Uploads(BaseModel):
    """The content of score.json."""

    submissions: list[Upload]
