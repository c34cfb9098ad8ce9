"""The view of an image: pose, light, camera, background, occluder. Knows no person."""

from dataclasses import dataclass, replace

from mien.render.draw import Draw

OCCLUDERS = {
    "none": 0.84,
    "glasses": 0.08,
    "hand": 0.05,
    "object": 0.03,
}  # a "scarf" is never drawn by chance


@dataclass(frozen=True, slots=True)
class Look:
    """The exact parameters of a view. Angles are in degrees, as seen by the viewer."""

    yaw: float = 0.0  # positive: the face looks to the viewer's right
    pitch: float = 0.0  # positive: up
    roll: float = 0.0  # positive: the head leans to the viewer's right
    azimuth: float = 30.0  # of the main light: positive from the right
    elevation: float = 30.0
    hardness: float = 0.5  # share of the main light, against light from all around
    distance: float = 9.0  # dm from the camera
    size: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)  # right and down, in shares of the side
    background: float = 0.5  # its grey, 0..1
    clutter: float = 0.15  # contrast of what is in it
    occluder: str = "none"
    place: tuple[float, float, float] = (0.5, 0.8, 0.25)  # of the occluder: x, y, size in shares of the side
    blur: float = 0.0  # pixels of a picture of 48
    sharpening: float = 0.3
    noise: float = 0.0  # grey levels
    level: float = 0.5  # mean of the face's greys, 0..1
    contrast: float = 1.0
    gamma: float = 1.0  # above 1 darkens the middle greys
    grain: tuple[int, ...] = (0,)  # seeds the picture's textures

    def mirrored(self) -> "Look":
        """Return the same view in a mirror; the textures of background and noise stay."""
        x, y, size = self.place
        return replace(
            self, yaw=-self.yaw, roll=-self.roll, azimuth=-self.azimuth,
            shift=(-self.shift[0], self.shift[1]), place=(1 - x, y, size),
        )  # fmt: skip


def look(draw: Draw, grain: tuple[int, ...] = (0,)) -> Look:
    """Draw a view. Nothing in it depends on the expression."""
    turned = draw.chance(0.15)
    return Look(
        yaw=draw.normal(0, 24 if turned else 10, 1.8),
        pitch=draw.normal(0, 7, 2),
        roll=draw.normal(0, 8, 2.2),
        azimuth=draw.normal(0, 48, 2),
        elevation=draw.normal(28, 18, 2),
        hardness=draw.uniform(0.15, 0.9),
        distance=draw.uniform(6, 16),
        size=draw.normal(0.98, 0.065, 2),
        shift=(draw.normal(0, 0.03, 2), draw.normal(0, 0.03, 2)),
        background=draw.uniform(0.0, 1.0),
        clutter=draw.uniform(0.05, 0.6),
        occluder=draw.choice(OCCLUDERS),
        place=(draw.uniform(0.1, 0.9), draw.uniform(0.55, 1.0), draw.uniform(0.14, 0.26)),
        blur=max(0.0, draw.normal(0.22, 0.38, 2.2)),
        sharpening=draw.uniform(0.0, 0.45),
        noise=draw.uniform(0.5, 4.5),
        level=draw.normal(0.52, 0.14, 2),
        contrast=draw.normal(1.0, 0.2, 2),
        gamma=2 ** draw.normal(0, 0.4, 2),
        grain=grain,
    )
