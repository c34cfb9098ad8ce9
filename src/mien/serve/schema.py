"""The shapes of requests and answers, for the API's documentation. Only requests are checked at run time."""

from pydantic import BaseModel, ConfigDict, Field


class Switches(BaseModel):
    """What the query of a request for predictions switches on."""

    model_config = ConfigDict(extra="forbid")

    crop: bool = Field(False, description="the picture is a face already: its middle square is classified")
    explain: bool = Field(False, description="tell for the largest faces what the answer depends on")


class Base64Images(BaseModel):
    """Images in JSON, for clients that can send nothing else; files take a quarter less."""

    model_config = ConfigDict(extra="forbid", strict=True)

    pictures: list[str] = Field(description="image files as base64, or as data URIs")


class Face(BaseModel):
    """A face and its expression."""

    box: list[float] = Field(description="left, top, width, height in pixels of the upright picture")
    landmarks: list[list[float]] | None = Field(
        description="x and y of both eyes, the nose and both corners of the mouth, left to right; null with crop"
    )
    score: float | None = Field(description="how sure the finder is of the face, 0 to 1; null with crop")
    label: str = Field(description="the most probable class, or uncertain")
    best: str = Field(description="the most probable class, certain or not")
    confidence: float = Field(description="the probability of the most probable class")
    probabilities: dict[str, float] = Field(description="by class; they sum to 1")
    explanation: list[list[float]] | None = Field(
        None,
        description="with explain, of the largest faces: how much hiding each place lowers the best class",
    )


class Picture(BaseModel):
    """A picture: its faces, the largest first, or the problem."""

    picture: str = Field(description="the name that the file came with, or its number")
    width: int | None = Field(None, description="pixels, upright")
    height: int | None = Field(None, description="pixels, upright")
    faces: list[Face] | None = Field(None, description="none found is an empty list")
    problem: str | None = Field(None, description="why it could not be used, among several pictures")


class Answer(BaseModel):
    """The answer to pictures, in their order."""

    mien: str = Field(description="the version")
    format: int = Field(description="of this answer; it grows when a field changes its meaning")
    model: str = Field(description="the model's name")
    sha256: str = Field(description="of the model's file")
    labels: list[str] = Field(description="the classes, in the model's order")
    uncertain_below: float = Field(description="a lower highest probability makes the label uncertain")
    card: str = Field(description="where the model's card stands")
    limits: str = Field(description="what an answer does not mean, in a sentence")
    pictures: list[Picture]


class ProblemDetail(BaseModel):
    """A problem (RFC 9457)."""

    type: str = Field(description="about:blank, as the status says it all")
    title: str = Field(description="the status in words")
    status: int
    detail: str = Field(description="what is wrong, and what to do")
