"""The shapes of requests and answers, for the API's documentation. Only `Switches` is checked at run time."""

from pydantic import BaseModel, Field


class Switches(BaseModel):
    """What the query of a request to read pictures switches on."""

    crop: bool = Field(False, description="the picture is a face already: its middle square is read")
    explain: bool = Field(False, description="tell for the largest faces what the answer depends on")


class Face(BaseModel):
    """A face and the expression that is read in it."""

    box: list[float] = Field(description="left, top, width, height in pixels of the upright picture")
    landmarks: list[list[float]] | None = Field(
        description="x and y of both eyes, the nose and both corners of the mouth, left to right; null with crop"
    )
    score: float | None = Field(description="how sure the finder is of the face, 0 to 1; null with crop")
    label: str = Field(description="the most probable class, or uncertain")
    best: str = Field(description="the most probable class, certain or not")
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


class Reading(BaseModel):
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


class About(BaseModel):
    """The model, all that a page needs to read faces by itself, and this server's limits."""

    mien: str = Field(description="the version")
    format: int = Field(description="of the answers of /v1/predict")
    name: str
    sha256: str = Field(description="of the model's file")
    labels: list[str] = Field(description="the classes, in the order of the graph's probabilities")
    side: int = Field(description="pixels of the square grey faces that it reads")
    threshold: float = Field(description="a lower highest probability makes the label uncertain")
    prior: dict[str, float] = Field(description="the share that the probabilities take each class to have")
    temperature: float = Field(description="in the graph already")
    crop: dict = Field(description="where the marks of a face belong in the square, as shares of its side")
    reading: dict = Field(
        description="the views that a face is read in, and the precision; in the graph already"
    )
    licence: str
    limits: str = Field(description="what an answer does not mean, in a sentence")
    card: str = Field(description="the model card, Markdown")
    card_html: str = Field(description="the same as HTML without scripts, styles and pictures")
    model_url: str = Field(description="the model's file, ONNX, relative to this answer's own address")
    detector_url: str = Field(description="the face detector's file, ONNX, relative in the same way")
    detector: dict[str, float | list[float]] = Field(description="how faces are looked for")
    small_faces: dict[str, float] = Field(description="when and how small faces are searched enlarged")
    explain: dict[str, int] = Field(description="how places are hidden")
    follow: dict = Field(description="how a face is followed from frame to frame")
    steady: dict = Field(description="how readings are steadied over time")
    max_body_bytes: int = Field(description="of a request")
    max_pixels: int = Field(description="of a picture")
    max_pictures: int = Field(description="in a request")
    max_faces: int = Field(description="in a picture")
    max_explained: int = Field(description="faces of a picture that are explained, the largest")
    max_seconds: float = Field(description="from a request to its answer")
    key: bool = Field(description="whether /v1/predict wants an API key")
    reports: bool = Field(description="whether there are /reports/")


class Fault(BaseModel):
    """A problem (RFC 9457)."""

    type: str = Field(description="about:blank, as the status says it all")
    title: str = Field(description="the status in words")
    status: int
    detail: str = Field(description="what is wrong, and what to do")


class Sample(BaseModel):
    """A rendered picture to try."""

    name: str
    url: str = Field(description="relative to the address of this answer")
    kind: str = Field(description="face or scene")
    label: str | None = Field(description="the expression that was rendered")
    alt: str = Field(description="the picture in words")
    width: int
    height: int
