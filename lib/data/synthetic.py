"""Synthetic images of skin lesions: a lesion, the skin around it, and the camera.

Each lesion has a tint and each patient a skin of its own, so a lesion can be recognised in another image. Some lesions
look like another class (`choose_look`), which bounds the accuracy that is possible on unseen lesions.

A change that moves a pixel raises lib.data.demo.VERSION.
"""

from typing import NamedTuple

import cv2
import numpy as np

RGB = tuple[int, int, int]
Range = tuple[float, float]  # each lesion has a uniformly random value of it

DARKER = 30  # grey levels: a lesion is at least so much darker than its skin, before its opacity
ATYPICAL = 0.25  # share of the lesions that look like another class of their family
FAMILIES = (  # classes that are mistaken for each other
    ("melanoma", "nevus", "pigmented benign keratosis"),
    ("actinic keratosis", "basal cell carcinoma", "squamous cell carcinoma"),
    ("dermatofibroma", "seborrheic keratosis", "vascular lesion"),
)


class Spots(NamedTuple):
    """Soft discs on a lesion."""

    colour: RGB
    count: tuple[int, int]  # how many, from and to
    radius: float  # fraction of the image side
    between: Range = (0.0, 1.0)  # where their centres lie: 0 the lesion's centre, 1 its border
    chance: float = 1.0  # share of the lesions that have them


class Look(NamedTuple):
    """How the lesions of a class look."""

    dark: RGB  # the ends of the lesion's own colours
    light: RGB
    radius: Range  # fraction of the image side
    opacity: Range  # share of the lesion's colour over the skin's
    irregular: float  # relative deviation of the outline from an ellipse
    soft: float  # width of the border, a fraction of the radius
    mottle: float  # how unevenly its colours are mixed
    spots: tuple[Spots, ...]  # what lies on it, painted in this order


WHITE, CREAM, BLACK, DARK_RED = (236, 218, 212), (228, 206, 160), (26, 18, 20), (104, 30, 34)

LOOKS = {
    "actinic keratosis": Look(
        *((176, 62, 66), (220, 110, 106), (0.27, 0.36), (0.55, 0.85), 0.2, 0.4, 0.4),
        (Spots((226, 182, 168), (40, 80), 0.011), Spots(WHITE, (8, 20), 0.03, chance=0.75)),
    ),
    "basal cell carcinoma": Look(
        *((176, 104, 132), (206, 142, 164), (0.26, 0.36), (0.55, 0.85), 0.12, 0.22, 0.2),
        (Spots((78, 78, 96), (3, 8), 0.05, chance=0.75), Spots(DARK_RED, (1, 2), 0.06, (0.0, 0.6), chance=0.35)),
    ),
    "dermatofibroma": Look(
        *((140, 104, 92), (176, 140, 124), (0.26, 0.36), (0.6, 0.9), 0.05, 0.35, 0.2),
        (Spots((128, 82, 68), (20, 40), 0.015, (0.5, 1.0)), Spots(WHITE, (3, 5), 0.07, (0.0, 0.3))),
    ),
    "melanoma": Look(
        *((30, 22, 24), (84, 58, 52), (0.27, 0.36), (0.75, 0.97), 0.2, 0.14, 0.6),
        (
            Spots((126, 132, 156), (3, 8), 0.06, (0.0, 0.8), chance=0.65),
            Spots(BLACK, (3, 8), 0.06, chance=0.7),
            Spots(BLACK, (6, 24), 0.012, (0.5, 1.0), chance=0.7),
        ),
    ),
    "nevus": Look(
        *((96, 54, 30), (150, 92, 56), (0.26, 0.34), (0.7, 0.95), 0.05, 0.15, 0.2),
        (Spots((66, 38, 28), (20, 50), 0.014, chance=0.6),),
    ),
    "pigmented benign keratosis": Look(
        *((92, 90, 92), (140, 132, 128), (0.27, 0.35), (0.5, 0.85), 0.15, 0.16, 0.5),
        (Spots((206, 164, 146), (8, 20), 0.03, chance=0.5), Spots((96, 66, 52), (20, 60), 0.01, chance=0.6)),
    ),
    "seborrheic keratosis": Look(
        *((146, 108, 44), (190, 152, 88), (0.27, 0.36), (0.7, 0.95), 0.1, 0.05, 0.35),
        (
            Spots((240, 224, 188), (6, 22), 0.014, (0.0, 0.9), chance=0.85),
            Spots((44, 28, 20), (4, 16), 0.016, (0.0, 0.9), chance=0.75),
        ),
    ),
    "squamous cell carcinoma": Look(
        *((196, 104, 60), (226, 148, 100), (0.26, 0.36), (0.5, 0.9), 0.15, 0.18, 0.4),
        (
            Spots(CREAM, (6, 14), 0.05, (0.0, 0.8)),
            Spots(WHITE, (4, 10), 0.03, chance=0.7),
            Spots(DARK_RED, (1, 4), 0.04, (0.0, 0.7), chance=0.6),
        ),
    ),
    "vascular lesion": Look(
        *((122, 10, 52), (180, 44, 90), (0.24, 0.32), (0.7, 0.95), 0.07, 0.12, 0.2),
        (Spots((122, 14, 48), (6, 18), 0.045, chance=0.85), Spots((44, 14, 34), (1, 5), 0.05, (0.0, 0.8), chance=0.5)),
    ),
}

# fair, pink, tan, brown and (polarised light) mauve skin
SKINS: tuple[RGB, ...] = ((226, 188, 174), (220, 176, 164), (216, 178, 160), (206, 164, 146), (212, 174, 168))


def choose_look(label: str, random: np.random.Generator) -> str:
    """The class that a lesion of class `label` looks like: its own, or another of its family (ATYPICAL)."""
    others = [name for family in FAMILIES if label in family for name in family if name != label]
    other = others[random.integers(len(others))]
    return other if random.random() < ATYPICAL else label


def draw_image(looks_like: str, size: int, seed: int, lesion: int, view: int) -> tuple[np.ndarray, np.ndarray]:
    """Image number `view` of a lesion: uint8 [size, size, 3], and its mask, uint8 [size, size], 0 or 255.

    The lesion and its patient depend on (seed, lesion), the camera on (seed, lesion, view).

    Args:
        looks_like: the class whose look the lesion has.
    """
    look = LOOKS[looks_like]
    patient = np.random.default_rng([seed, 1, lesion])
    camera = np.random.default_rng([seed, 2, lesion, view])
    skin = np.float32(SKINS[patient.integers(len(SKINS))])
    skin = skin * np.float32(patient.uniform(0.8, 1.05) * (1 + patient.normal(0, 0.04, 3)))
    colour, shape = _lesion(look, size, patient)
    # a lesion as light as its skin would not be visible
    colour -= max(0.0, float(np.average(colour.mean(axis=-1), weights=shape)) - float(skin.mean()) + DARKER)
    opacity = patient.uniform(*look.opacity)

    turn = cv2.getRotationMatrix2D((size / 2, size / 2), camera.uniform(0, 360), camera.uniform(1.05, 1.35))
    turn[:, 2] += camera.uniform(-0.07, 0.07, 2) * size
    colour = cv2.warpAffine(colour, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    shape = cv2.warpAffine(shape, turn, (size, size), flags=cv2.INTER_LINEAR)
    image = _mix(skin, colour, opacity * shape[..., None])
    image = image * (1 + 0.03 * _noise(size, 0.03, camera)[..., None])  # relief of the skin
    return _photograph(image, camera), np.where(shape > 0.5, 255, 0).astype(np.uint8)


def _lesion(look: Look, size: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A lesion in the middle of an empty square: colour, float32 [s, s, 3], and shape, float32 [s, s], 0 to 1."""
    y, x = np.mgrid[:size, :size].astype(np.float32) - (size - 1) / 2
    angle, stretch = random.uniform(0, np.pi), np.sqrt(random.uniform(1.0, 1.4))
    along = (x * np.cos(angle) + y * np.sin(angle)) / stretch
    across = (y * np.cos(angle) - x * np.sin(angle)) * stretch
    theta, orders = np.arctan2(across, along), np.arange(2, 8)
    waves = zip(orders, look.irregular * random.normal(0, 1.5, 6) / orders, random.uniform(0, 2 * np.pi, 6))
    outline = 1 + sum(height * np.cos(order * theta + phase) for order, height, phase in waves)
    radius = random.uniform(*look.radius) * size * np.clip(outline, 0.5, 1.25)
    distance = (np.hypot(along, across) / radius).astype(np.float32)  # 0 in the centre, 1 on the border
    shape = np.clip((1 + look.soft - distance) / (2 * look.soft), 0, 1)
    shape = shape * shape * (3 - 2 * shape)

    ends = np.float32([look.dark, look.light]) * random.uniform(0.9, 1.1) + random.normal(0, 6, 3)
    tone = 0.3 + 0.35 * distance + look.mottle * _noise(size, 0.22, random)
    colour = _mix(np.float32(ends[0]), np.float32(ends[1]), np.clip(tone, 0, 1)[..., None])
    for spots in look.spots:
        if random.random() < spots.chance:
            strength = random.uniform(0.5, 0.9) * _discs(spots, distance, random)
            colour = _mix(colour, np.float32(spots.colour), strength[..., None])
    return colour, shape.astype(np.float32)


def _discs(spots: Spots, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Where the spots lie, float32 [s, s], 0 to 1."""
    layer = np.zeros(distance.shape, np.uint8)
    y, x = np.nonzero((distance >= spots.between[0]) & (distance <= spots.between[1]))
    for _ in range(random.integers(spots.count[0], spots.count[1] + 1)):
        place, radius = random.integers(len(x)), spots.radius * len(layer) * random.uniform(0.6, 1.4)
        centre = (int(x[place]) * 16, int(y[place]) * 16)  # in sixteenths of a pixel, as small discs need
        cv2.circle(layer, centre, max(10, round(radius * 16)), 255, cv2.FILLED, cv2.LINE_AA, shift=4)
    return cv2.GaussianBlur(layer.astype(np.float32) / 255, (0, 0), max(0.5, 0.15 * spots.radius * len(layer)))


def _photograph(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Uneven light, a colour cast, dark corners and sensor noise: uint8 [s, s, 3]."""
    size = len(image)
    y, x = (np.mgrid[:size, :size].astype(np.float32) + 0.5) / size - 0.5
    towards = random.uniform(0, 2 * np.pi)
    light = 1 + random.uniform(0, 0.22) * (x * np.cos(towards) + y * np.sin(towards))
    light -= random.uniform(0, 0.3) * (x**2 + y**2)
    cast = 1 + random.normal(0, 0.02, 3)
    image = image * light[..., None] * cast + random.normal(0, random.uniform(1, 3), image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _mix(below: np.ndarray, above: np.ndarray, share) -> np.ndarray:
    return (below + (above - below) * share).astype(np.float32)


def _noise(size: int, scale: float, random: np.random.Generator) -> np.ndarray:
    """Smooth noise of mean 0 and standard deviation 1; its largest features are `scale` of the side wide."""
    total = np.zeros((size, size), np.float32)
    for octave in range(3):
        cells = int(np.clip(round(1.5 * 2**octave / scale), 2, size))
        grid = random.standard_normal((cells, cells)).astype(np.float32)
        total += cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC) / 2 ** (0.8 * octave)
    return (total - total.mean()) / (total.std() + 1e-6)
