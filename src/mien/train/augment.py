"""Batch augmentations on uint8 faces (B, S, S). Knows nothing about networks, runs or files.

Each is a pure function of a batch and a generator: the same generator state gives the same
bytes, and the caller's tensors are never changed.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

from mien.errors import RecipeError
from mien.networks import GREY_ZERO
from mien.plugins import load_plugin, user_code
from mien.recipe import Augment

ERASED_AREA = (0.02, 0.2)  # shares of the face
ERASED_ASPECT = (0.3, 1 / 0.3)  # height over width, as in the paper


def augment(images: torch.Tensor, recipe: Augment, *, generator: torch.Generator) -> torch.Tensor:
    """Return the batch after all that the recipe asks for, but for blends of two faces (`mixed`)."""
    if recipe.flip:
        images = flip(images, generator=generator)
    if recipe.rotation or recipe.scale:
        images = turn(images, recipe.rotation, recipe.scale, generator=generator)
    if recipe.shift:
        images = shift(images, recipe.shift, generator=generator)
    if recipe.brightness or recipe.contrast:
        images = relight(images, recipe.brightness, recipe.contrast, generator=generator)
    if recipe.random_erasing:
        images = erase(images, recipe.random_erasing, generator=generator)
    if recipe.function:
        images = _own_function(recipe.function, images, generator)
    return images


def check_function(recipe: Augment, images: torch.Tensor) -> None:
    """Raise RecipeError unless the user's own augmentation gives faces as it takes them, on some uint8 (B, S, S)."""
    if recipe.function:
        _own_function(recipe.function, images.clone(), torch.Generator().manual_seed(0))


def _own_function(name: str, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return what the user's own augmentation gives; RecipeError where it fails or gives no such faces."""
    function = load_plugin(name, "augment.function")
    with user_code(f"augment.function: {name} fails", function):
        changed = function(images, generator=generator)
    if not isinstance(changed, torch.Tensor) or (changed.shape, changed.dtype) != (images.shape, torch.uint8):
        raise RecipeError(f"augment.function: {name} must give uint8 {tuple(images.shape)}, as it takes them")
    return changed


def mixed(
    images: torch.Tensor, targets: torch.Tensor, recipe: Augment, *, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return faces (B, S, S) and targets (B, C) after mixup or CutMix, each chosen half the time where both are on."""
    kinds = [kind for kind, alpha in ((mixup, recipe.mixup), (cutmix, recipe.cutmix)) if alpha]
    if not kinds or _uniform(1, generator).item() >= recipe.mix_prob:
        return images, targets
    kind = kinds[int(_uniform(1, generator).item() * len(kinds))]
    return kind(images, targets, recipe.mixup if kind is mixup else recipe.cutmix, generator=generator)


def degraded(images: torch.Tensor, recipe: Augment, *, generator: torch.Generator) -> torch.Tensor:
    """Return the batch in other light, blurred and with noise, where the recipe asks for it: as poorer cameras see it.

    The order is a camera's: light, lens and motion, the sensor's noise, pixels that fail.
    """
    whole = images
    for degrade, most in (
        (expose, recipe.exposure),
        (fade, recipe.fading),
        (blur, recipe.blur),
        (smear, recipe.motion),
        (noise, recipe.noise),
        (impulses, recipe.impulses),
    ):
        if most:
            images = degrade(images, most, generator=generator)
    if images is whole or recipe.degrade_prob == 1:
        return images
    hit = _uniform(len(images), generator) < recipe.degrade_prob
    return torch.where(hit[:, None, None], images, whole)


def flip(images: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
    """Mirror each face left to right with chance 1/2."""
    mirrored = _uniform(len(images), generator) < 0.5
    return torch.where(mirrored[:, None, None], images.flip(2), images)


def shift(images: torch.Tensor, pixels: int, *, generator: torch.Generator) -> torch.Tensor:
    """Move each face by up to `pixels` each way, its edge repeated into the gap."""
    count, side, _ = images.shape
    device = images.device
    moves = torch.randint(-pixels, pixels + 1, (2, count, 1), device=device, generator=generator)
    rows, columns = (torch.arange(side, device=device) + moves).clamp(0, side - 1)
    faces = torch.arange(count, device=device)
    return images[faces[:, None, None], rows[:, :, None], columns[:, None, :]]


def turn(images: torch.Tensor, degrees: float, zoom: float, *, generator: torch.Generator) -> torch.Tensor:
    """Turn each face by up to `degrees` and scale it by up to a factor 1 + `zoom` or its inverse, about its middle."""
    angles = (2 * _uniform(len(images), generator) - 1) * math.radians(degrees)
    scales = (1 + zoom) ** (2 * _uniform(len(images), generator) - 1)
    cos, sin, zero = angles.cos() / scales, angles.sin() / scales, torch.zeros_like(angles)
    moves = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)
    grid = F.affine_grid(moves, [len(images), 1, *images.shape[1:]], align_corners=False)
    found = F.grid_sample(images[:, None].float(), grid, padding_mode="border", align_corners=False)
    return _to_bytes(found[:, 0])


def relight(
    images: torch.Tensor, brightness: float, contrast: float, *, generator: torch.Generator
) -> torch.Tensor:
    """Stretch each face's greys about middle grey by up to a share `contrast`, then add up to `brightness` greys."""
    stretch = 1 + (2 * _uniform(len(images), generator) - 1) * contrast
    added = (2 * _uniform(len(images), generator) - 1) * brightness
    centered = images.float() - GREY_ZERO
    return _to_bytes(centered * stretch[:, None, None] + (GREY_ZERO + added)[:, None, None])


def expose(images: torch.Tensor, stops: float, *, generator: torch.Generator) -> torch.Tensor:
    """Give a quarter of the faces up to so many stops less light, another up to half as many more; white stays."""
    drawn, strength = _uniform(len(images), generator), _uniform(len(images), generator)
    changed = torch.where(drawn < 0.25, -stops, torch.where(drawn < 0.5, stops / 2, 0))
    return _to_bytes(images.float() * (changed * strength).exp2()[:, None, None])


def fade(images: torch.Tensor, share: float, *, generator: torch.Generator) -> torch.Tensor:
    """Take up to this share of a quarter of the faces' contrast away, about the mean of each: haze."""
    hit = _uniform(len(images), generator) < 0.25
    left = 1 - share * _uniform(len(images), generator) * hit
    middle = images.float().mean((1, 2), keepdim=True)
    return _to_bytes(middle + left[:, None, None] * (images - middle))


def smear(images: torch.Tensor, pixels: float, *, generator: torch.Generator) -> torch.Tensor:
    """Smear a quarter of the faces along a straight way of up to so many pixels, in any direction: motion blur."""
    hit = torch.nonzero(_uniform(len(images), generator) < 0.25)[:, 0]
    count, reach = len(hit), math.ceil(pixels / 2)
    length, angle = (_uniform(count, generator) * pixels)[:, None, None], math.pi * _uniform(count, generator)
    if not count:
        return images
    at = torch.arange(-reach, reach + 1, device=images.device)
    along = angle.cos()[:, None, None] * at + angle.sin()[:, None, None] * at[:, None]
    across = angle.cos()[:, None, None] * at[:, None] - angle.sin()[:, None, None] * at
    kernels = (1 - across.abs()).clamp(min=0) * (length / 2 + 0.5 - along.abs()).clamp(0, 1)
    kernels /= kernels.sum((1, 2), keepdim=True)
    wide = F.pad(images[hit][None].float(), (reach,) * 4, mode="replicate")
    smeared = F.conv2d(wide, kernels[:, None], groups=count)[0]
    return images.index_copy(0, hit, _to_bytes(smeared))


def impulses(images: torch.Tensor, share: float, *, generator: torch.Generator) -> torch.Tensor:
    """Turn up to this share of the pixels of a quarter of the faces black or white."""
    hit = _uniform(len(images), generator) < 0.25
    shares = (_uniform(len(images), generator) * share * hit)[:, None, None]
    drawn = torch.rand(images.shape, device=images.device, generator=generator)
    black = torch.where(drawn < shares / 2, 0, images)
    return torch.where((drawn >= shares / 2) & (drawn < shares), 255, black)


def blur(images: torch.Tensor, deviation: float, *, generator: torch.Generator) -> torch.Tensor:
    """Blur half of the faces by a Gaussian with a standard deviation of up to so many pixels."""
    count, device = len(images), images.device
    hit = _uniform(count, generator) < 0.5
    deviations = (_uniform(count, generator) * deviation).clamp(min=1e-3)
    reach = math.ceil(3 * deviation)
    at = torch.arange(-reach, reach + 1, device=device)
    kernels = (-((at / deviations[:, None]) ** 2) / 2).exp()
    kernels = (kernels / kernels.sum(1, keepdim=True))[:, None]
    wide = F.pad(images[None].float(), (reach,) * 4, mode="replicate")
    across = F.conv2d(wide, kernels[:, :, None, :], groups=count)
    both = F.conv2d(across, kernels[:, :, :, None], groups=count)[0]
    return torch.where(hit[:, None, None], _to_bytes(both), images)


def noise(images: torch.Tensor, deviation: float, *, generator: torch.Generator) -> torch.Tensor:
    """Add Gaussian noise with a standard deviation of up to so many greys to half of the faces."""
    hit = _uniform(len(images), generator) < 0.5
    deviations = _uniform(len(images), generator) * deviation
    grains = torch.randn(images.shape, device=images.device, generator=generator)
    noisy = images.float() + deviations[:, None, None] * grains
    return torch.where(hit[:, None, None], _to_bytes(noisy), images)


def erase(images: torch.Tensor, chance: float, *, generator: torch.Generator) -> torch.Tensor:
    """Random erasing (Zhong et al. 2020): with this chance a rectangle of 2 to 20 % of a face becomes noise."""
    count, side, _ = images.shape
    area = _between(*ERASED_AREA, count, generator)
    narrowest, widest = map(math.log, ERASED_ASPECT)
    aspect = _between(narrowest, widest, count, generator).exp()
    height, width = (area * aspect).sqrt(), (area / aspect).sqrt()
    hit = _uniform(count, generator) < chance
    lost = _rectangles(side, height, width, generator) & hit[:, None, None]
    noise = torch.randint(0, 256, images.shape, device=images.device, generator=generator)
    return torch.where(lost, noise.to(torch.uint8), images)


def mixup(
    images: torch.Tensor, targets: torch.Tensor, alpha: float, *, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend each face and its target with another's (Zhang et al. 2018), one share a batch.

    At most half is the other's, which changes no mixture's chance, as pairs are drawn both ways.
    """
    share, partners = _beta(alpha, generator), _partners(images, generator)
    share = min(share, 1 - share)
    blended = images.float().lerp(images[partners].float(), share)
    return _to_bytes(blended), targets.lerp(targets[partners], share)


def cutmix(
    images: torch.Tensor, targets: torch.Tensor, alpha: float, *, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Put a rectangle of another face into each (Yun et al. 2019); targets blend by the area that was replaced."""
    share, partners = _beta(alpha, generator), _partners(images, generator)
    extent = torch.full((1,), math.sqrt(share), device=images.device)
    other = _rectangles(images.shape[1], extent, extent, generator)
    return torch.where(other, images[partners], images), targets.lerp(
        targets[partners], other.float().mean().item()
    )


def shrink(images: torch.Tensor, side: int) -> torch.Tensor:
    """Return the faces with `side` pixels a side, each the mean over the area it covers."""
    if side == images.shape[1]:
        return images
    return _to_bytes(F.interpolate(images[:, None].float(), size=(side, side), mode="area")[:, 0])


def _rectangles(
    side: int, height: torch.Tensor, width: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Return masks, bool (n, side, side), of rectangles given in shares of the side, anywhere in the picture."""
    covered = []
    for extent in (height, width):
        pixels = (extent.clamp(max=1) * side).round()
        start = (_uniform(len(extent), generator) * (side - pixels + 1)).floor()
        places = torch.arange(side, device=extent.device)
        covered.append((places >= start[:, None]) & (places < (start + pixels)[:, None]))
    return covered[0][:, :, None] & covered[1][:, None, :]


def _partners(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.randperm(len(images), device=images.device, generator=generator)


def _beta(alpha: float, generator: torch.Generator) -> float:
    """Draw from Beta(alpha, alpha)."""
    seed = torch.randint(2**62, (1,), device=generator.device, generator=generator).item()
    return np.random.default_rng(int(seed)).beta(alpha, alpha)


def _between(low: float, high: float, count: int, generator: torch.Generator) -> torch.Tensor:
    return low + (high - low) * _uniform(count, generator)


def _uniform(count: int, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(count, device=generator.device, generator=generator)


def _to_bytes(values: torch.Tensor) -> torch.Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
