"""What is no face, made of a batch of faces: pictures that a network shall not be certain about.

Outlier exposure (Hendrycks et al. 2019): a network that sees such pictures with equal targets for all classes stays
unsure about others, too, so that a crop that shows no face is "uncertain". Knows nothing about networks, runs or files.
"""

import math

import torch
import torch.nn.functional as F

BLOCKS = (2, 3, 4, 6)  # a side of the face is cut into so many
PART = (0.12, 0.3)  # of a side, of the part of a face that is enlarged to the whole
SLOPES = (0.0, 2.5)  # of a texture's amplitude over its frequency: 0 is white noise, 2 clouds
BENDS = 3.0  # at most, over a side squared: stripes become arcs, ovals and saddles


def with_outliers(
    images: torch.Tensor, targets: torch.Tensor, share: float, *, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the batch, uint8 (B, S, S) and (B, C), with this share of it made to outliers with equal targets.

    The kinds take turns, so that a batch holds as many of each. An outlier's row of targets sums to 1.
    """
    count = round(share * len(images))
    if not count:
        return images, targets
    images, targets = images.clone(), targets.clone()
    device = images.device
    chosen = torch.randperm(len(images), device=device, generator=generator)[:count]
    first = int(torch.randint(len(KINDS), (1,), device=device, generator=generator))
    for number, kind in enumerate(KINDS):
        rows = chosen[(number - first) % len(KINDS) :: len(KINDS)]
        if len(rows):
            images[rows] = kind(images[rows], generator).round().clamp(0, 255).to(torch.uint8)
    targets[chosen] = 1 / targets.shape[1]
    return images, targets


def shuffled(faces: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Cut all faces into blocks and put these in another order: the parts of a face in no face's places."""
    side = faces.shape[1]
    blocks = BLOCKS[int(torch.randint(len(BLOCKS), (1,), device=faces.device, generator=generator))]
    size = side // blocks
    order = torch.randperm(blocks * blocks, device=faces.device, generator=generator)
    cut = faces[:, : size * blocks, : size * blocks].float()
    cut = F.unfold(cut[:, None], size, stride=size)[:, :, order]
    whole = F.fold(cut, (size * blocks, size * blocks), size, stride=size)
    return F.interpolate(whole, (side, side), mode="nearest")[:, 0]


def part(faces: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Enlarge a small part of each face to the whole."""
    count = len(faces)
    extent = _between(*PART, count, faces.device, generator)
    places = 2 * torch.rand(2, count, device=faces.device, generator=generator) - 1
    places *= 1 - extent
    zero = torch.zeros_like(extent)
    rows = [torch.stack([extent, zero, places[0]], 1), torch.stack([zero, extent, places[1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), [count, 1, *faces.shape[1:]], align_corners=False)
    return F.grid_sample(faces[:, None].float(), grid, padding_mode="border", align_corners=False)[:, 0]


def scrambled(faces: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Keep how strong each frequency of a face is, and draw where it stands (its phase)."""
    faces = faces.float()
    middle = faces.mean((1, 2), keepdim=True)
    strength = torch.fft.rfft2(faces - middle).abs()
    return middle + _texture(strength, faces.shape[1], generator)


def noise(faces: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw textures from white noise to clouds, dark and light, weak and strong; they show nothing of the faces."""
    count, side, _ = faces.shape
    device = faces.device
    across = torch.fft.rfftfreq(side, device=device)
    down = torch.fft.fftfreq(side, device=device)
    frequency = (across[None] ** 2 + down[:, None] ** 2).sqrt()
    frequency[0, 0] = math.inf  # a texture's mean is drawn by itself
    slope = _between(*SLOPES, count, device, generator)
    texture = _texture(frequency[None] ** -slope[:, None, None], side, generator)
    texture /= texture.std((1, 2), keepdim=True) + 1e-6
    contrast = _between(0.0, 80.0, count, device, generator)
    middle = _between(0.0, 255.0, count, device, generator)
    return middle[:, None, None] + contrast[:, None, None] * texture


def stripes(faces: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw stripes, edges and checks of any direction, width and contrast, half of them bent, and plain slopes."""
    count, side, _ = faces.shape
    device = faces.device
    line = torch.linspace(-0.5, 0.5, side, device=device)
    angle = _between(0.0, 2 * math.pi, count, device, generator)[:, None, None]
    cycles = 16 ** _between(-1.0, 1.0, count, device, generator)[:, None, None]
    phase = _between(0.0, 2 * math.pi, count, device, generator)[:, None, None]
    along = angle.cos() * line[None, None, :] + angle.sin() * line[None, :, None]
    across = angle.sin() * line[None, None, :] - angle.cos() * line[None, :, None]
    bends = BENDS * (torch.rand(3, count, 1, 1, device=device, generator=generator) - 0.5) * 2
    bends *= torch.rand(count, 1, 1, device=device, generator=generator) < 0.5
    along = along + bends[0] * along**2 + bends[1] * along * across + bends[2] * across**2
    waves = (2 * math.pi * cycles * along + phase).sin()
    kind = torch.randint(3, (count, 1, 1), device=device, generator=generator)
    checks = waves.sign() * (2 * math.pi * cycles * across + phase).sin().sign()
    waves = torch.where(kind == 0, waves, torch.where(kind == 1, waves.sign(), checks))
    contrast = _between(0.0, 127.0, count, device, generator)[:, None, None]
    middle = _between(0.0, 255.0, count, device, generator)[:, None, None]
    return middle + contrast * waves


KINDS = (shuffled, part, scrambled, noise, stripes)


def _texture(strength: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """Return pictures (B, S, S) whose frequencies have these strengths (B, S, S // 2 + 1) and any phase."""
    phase = 2 * math.pi * torch.rand(strength.shape, device=strength.device, generator=generator)
    return torch.fft.irfft2(torch.polar(strength, phase), s=(side, side))


def _between(
    low: float, high: float, count: int, device: torch.device, generator: torch.Generator
) -> torch.Tensor:
    return low + (high - low) * torch.rand(count, device=device, generator=generator)
