"""The shapes of the service's answers, for its OpenAPI schema. Every one says that it is for research only."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ammrg.notice import NOTICE
from ammrg.operating_points import HELP, NAMED

SCHEMA_VERSION = 1
"""Of the answer to a study; a change that would break a reader raises it."""


class Answer(BaseModel):
    """What all answers have."""

    notice: str = NOTICE


class Failure(Answer):
    """Why a request was refused, in one sentence."""

    error: str


class State(Answer):
    """Whether the service runs or is ready."""

    status: str


class Version(Answer):
    """What answers."""

    version: str = Field(description="of AM-MRG")
    schema_version: int = SCHEMA_VERSION


class Model(Answer):
    """The model that writes the reports."""

    fingerprint: str = Field(description="two models with the same one write the same reports")
    dataset: str = Field(description="name of the data set that it was trained on")
    trained_on: str
    map_method: str
    image_size: int = Field(description="side in pixels of the square that a film is resized to")
    views: str = Field(description="the films that it reads: all, or frontal")
    findings: dict[str, float] = Field(description="finding -> probability above which it counts as present")
    card: str | None = Field(description="text of the model card; null for a run that is not exported")


class StudyReport(Answer):
    """The content of ``report.json`` and the version of its schema; docs/describe.md lists its fields."""

    model_config = ConfigDict(extra="allow")

    schema_version: int
    study: dict[str, Any]
    films: list[str]
    views: list[dict[str, Any]]
    set_aside: list[dict[str, str]]
    report: str
    findings: dict[str, float]
    thresholds: dict[str, float]
    operating_point: dict[str, Any]
    places: dict[str, list[str]]
    warnings: list[str]
    made_from: dict[str, str]
    trained_on: dict[str, str]


UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                            "description": "films of one study (DICOM, PNG, JPEG, TIFF), or one zip archive of them",
                        },
                        "lateral": {
                            "type": "array",
                            "items": {"type": "string"},
                            "description": "films to read as lateral ones: names, or numbers from 1",
                        },
                        "frontal": {
                            "type": "array",
                            "items": {"type": "string"},
                            "description": "films to read as frontal ones, named in the same way",
                        },
                        "indication": {
                            "type": "string",
                            "description": "why the study was made, for a model whose prompt uses it",
                        },
                        "operating_point": {
                            "anyOf": [
                                {"type": "number", "minimum": 0, "maximum": 1},
                                {"type": "string", "enum": list(NAMED)},
                            ],
                            "description": HELP,
                        },
                    },
                }
            }
        },
    }
}
"""The body of a request with a study: it is read piece by piece, so FastAPI cannot derive it from arguments."""

REFUSALS = {
    400: "the body is not multipart, or is cut off",
    401: "the bearer token is missing or wrong",
    403: "the Host header names another machine, or a web page of another server asks",
    408: "the upload did not arrive in time",
    413: "more bytes, files or pixels than are read",
    415: "another type of content",
    422: "no film that can be read, or films of several studies",
    500: "the model failed",
    503: "the model is not loaded yet, or too many studies wait; Retry-After says when to come back",
    504: "the report was not ready in time",
}
"""Status of a refused study -> when."""


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the part of the OpenAPI schema about refusals."""
    return {status: {"model": Failure, "description": REFUSALS[status]} for status in statuses}
