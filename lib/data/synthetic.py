"""Synthetic images of skin lesions: a lesion, the skin around it, and the camera.

Each lesion has a tint and each patient a skin of its own, so a lesion can be recognised in another image. Some lesions
look like another class, which bounds the accuracy on unseen lesions. A change of pixels raises lib.data.demo.VERSION.
"""

from pathlib import Path

import cv2
import numpy as np

from lib.config.schema import read_yaml

DARKER = 30  # grey levels: a lesion is at least so much darker than its skin, before its opacity
ATYPICAL = 0.25  # share of the lesions that look like another class of their family
FAMILIES = (  # classes that are mistaken for each other
    ("melanoma", "nevus", "pigmented benign keratosis"),
    ("actinic keratosis", "basal cell carcinoma", "squamous cell carcinoma"),
    ("dermatofibroma", "seborrheic keratosis", "vascular lesion"),
)
FAMILY = {label: family for family in FAMILIES for label in family}
LOOKS = read_yaml(Path(__file__).with_name("looks.yaml"))  # class -> how its lesions look; the file explains the keys
# fair, pink, tan, brown and (polarised light) mauve skin
SKINS = ((226, 188, 174), (220, 176, 164), (216, 178, 160), (206, 164, 146), (212, 174, 168))


def choose_look(label: str, random: np.random.Generator) -> str:
    """The class that a lesion of class `label` looks like: its own, or another of its family (ATYPICAL)."""
    others = [name for name in FAMILY[label] if name != label]
    other = others[random.integers(len(others))]
    return other if random.random() < ATYPICAL else label


def draw_image(looks_like: str, size: int, seed: int, lesion: int, view: int) -> tuple[np.ndarray, np.ndarray]:
    """Image number `view` of a lesion: uint8 [size, size, 3], and its mask, uint8 [size, size], 0 or 255.

    The lesion and its patient depend on (seed, lesion), the camera on (seed, lesion, view). `looks_like` is the class
    whose look the lesion has.
    """
    look = LOOKS[looks_like]
    patient = np.random.default_rng([seed, 1, lesion])
    camera = np.random.default_rng([seed, 2, lesion, view])
    skin = np.float32(SKINS[patient.integers(len(SKINS))])
    skin = skin * np.float32(patient.uniform(0.8, 1.05) * (1 + patient.normal(0, 0.04, 3)))
    colour, shape = _lesion(look, size, patient)
    # a lesion as light as its skin would not be visible
    colour -= max(0.0, float(np.average(colour.mean(axis=-1), weights=shape)) - float(skin.mean()) + DARKER)
    opacity = patient.uniform(*look["opacity"])

    turn = cv2.getRotationMatrix2D((size / 2, size / 2), camera.uniform(0, 360), camera.uniform(1.05, 1.35))
    turn[:, 2] += camera.uniform(-0.07, 0.07, 2) * size
    colour = cv2.warpAffine(colour, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    shape = cv2.warpAffine(shape, turn, (size, size), flags=cv2.INTER_LINEAR)
    image = _mix(skin, colour, opacity * shape[..., None])
    image = image * (1 + 0.03 * _noise(size, 0.03, camera)[..., None])  # relief of the skin
    return _photograph(image, camera), np.where(shape > 0.5, 255, 0).astype(np.uint8)


def _lesion(look: dict, size: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A lesion in the middle of an empty square: colour, float32 [s, s, 3], and shape, float32 [s, s], 0 to 1."""
    y, x = np.mgrid[:size, :size].astype(np.float32) - (size - 1) / 2
    angle, stretch = random.uniform(0, np.pi), np.sqrt(random.uniform(1.0, 1.4))
    along = (x * np.cos(angle) + y * np.sin(angle)) / stretch
    across = (y * np.cos(angle) - x * np.sin(angle)) * stretch
    theta, orders = np.arctan2(across, along), np.arange(2, 8)
    waves = zip(orders, look["irregular"] * random.normal(0, 1.5, 6) / orders, random.uniform(0, 2 * np.pi, 6))
    outline = 1 + sum(height * np.cos(order * theta + phase) for order, height, phase in waves)
    radius = random.uniform(*look["radius"]) * size * np.clip(outline, 0.5, 1.25)
    distance = (np.hypot(along, across) / radius).astype(np.float32)  # 0 in the centre, 1 on the border
    shape = np.clip((1 + look["soft"] - distance) / (2 * look["soft"]), 0, 1)
    shape = shape * shape * (3 - 2 * shape)

    ends = np.float32([look["dark"], look["light"]]) * random.uniform(0.9, 1.1) + random.normal(0, 6, 3)
    tone = 0.3 + 0.35 * distance + look["mottle"] * _noise(size, 0.22, random)
    colour = _mix(np.float32(ends[0]), np.float32(ends[1]), np.clip(tone, 0, 1)[..., None])
    for spots in look["spots"]:
        if random.random() < spots["chance"]:
            strength = random.uniform(0.5, 0.9) * _discs(spots, distance, random)
            colour = _mix(colour, np.float32(spots["colour"]), strength[..., None])
    return colour, shape.astype(np.float32)


def _discs(spots: dict, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Where the spots lie, float32 [s, s], 0 to 1."""
    layer = np.zeros(distance.shape, np.uint8)
    inner, outer = spots["between"]
    y, x = np.nonzero((distance >= inner) & (distance <= outer))
    for _ in range(random.integers(*spots["count"], endpoint=True)):
        place, radius = random.integers(len(x)), spots["radius"] * len(layer) * random.uniform(0.6, 1.4)
        centre = (int(x[place]) * 16, int(y[place]) * 16)  # in sixteenths of a pixel, as small discs need
        cv2.circle(layer, centre, max(10, round(radius * 16)), 255, cv2.FILLED, cv2.LINE_AA, shift=4)
    return cv2.GaussianBlur(layer.astype(np.float32) / 255, (0, 0), max(0.5, 0.15 * spots["radius"] * len(layer)))


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
