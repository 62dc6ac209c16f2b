"""The demo's pictures: a lesion on its own, then the skin, the lesion laid on it, and what the camera adds.

Every patient has a skin of their own and every lesion a tint of its own, so that one lesion is known again in another
picture; and a lesion may look like another class (`look_of`), so that nobody can be always right about a new one.

A change that moves a pixel raises lib.data.demo.VERSION.
"""

import cv2
import numpy as np

from lib.data.looks import ATYPICAL, FAMILIES, LOOKS, SKINS, Look, Mark, Range

DARKER = 45  # grey levels, how much darker than its skin a lesion is at least, before its opacity


def look_of(label: str, random: np.random.Generator) -> str:
    """The class that a lesion of class `label` looks like: its own, or ATYPICAL of the time another of its family."""
    others = [name for family in FAMILIES if label in family for name in family if name != label]
    other = others[random.integers(len(others))]
    return other if random.random() < ATYPICAL else label


def photo(look_like: str, size: int, seed: int, lesion: int, view: int) -> tuple[np.ndarray, np.ndarray]:
    """Picture `view` of a lesion that looks like a class: uint8 [size, size, 3], and its mask, uint8 [size, size], 0 or
    255. The lesion and its patient are those of (seed, lesion), the camera that of (seed, lesion, view)."""
    look = LOOKS[look_like]
    patient = np.random.default_rng([seed, 1, lesion])
    camera = np.random.default_rng([seed, 2, lesion, view])
    first, second = patient.choice(len(SKINS), 2, replace=False, shuffle=False)
    skin_tone = _mix(np.float32(SKINS[first]), np.float32(SKINS[second]), patient.random())
    skin_tone = skin_tone * np.float32(patient.uniform(0.8, 1.05) * (1 + patient.normal(0, 0.04, 3)))
    colour, alpha, shape = _lesion(look, size, patient)
    # whatever the two tints are: a lesion as light as its skin would show on no picture
    colour -= max(0.0, float(np.average(colour.mean(axis=-1), weights=shape)) - float(skin_tone.mean()) + DARKER)

    turn = cv2.getRotationMatrix2D((size / 2, size / 2), camera.uniform(0, 360), camera.uniform(1.05, 1.35))
    turn[:, 2] += camera.uniform(-0.07, 0.07, 2) * size
    colour = cv2.warpAffine(colour, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    alpha, shape = (cv2.warpAffine(layer, turn, (size, size), flags=cv2.INTER_LINEAR) for layer in (alpha, shape))

    picture = _skin(skin_tone, size, camera)
    halo = cv2.GaussianBlur(shape, (0, 0), 0.08 * size)[..., None] * _within(look.halo, patient)
    picture = _mix(picture, picture * np.float32([1.0, 0.78, 0.78]), halo)
    shade = 1 + 0.04 * _noise(size, 0.03, camera)[..., None]  # the lesion's skin has relief too
    picture = _mix(picture, colour * shade, alpha[..., None])
    picture = _camera(picture, camera)
    return picture, np.where(shape > 0.5, 255, 0).astype(np.uint8)


def _lesion(look: Look, size: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A lesion in the middle of an empty square: colour float32 [s, s, 3], share over the skin, and its full shape."""
    radius = _within(look.radius, random) * size
    y, x = np.mgrid[:size, :size].astype(np.float32) - (size - 1) / 2
    lobes = random.integers(look.lobes[0], look.lobes[1] + 1)
    distance = np.full((size, size), np.inf, np.float32)
    for _ in range(lobes):
        share = 1.0 if lobes == 1 else random.uniform(0.6, 0.85)
        away, towards = 0.0 if lobes == 1 else (1 - share) * radius, random.uniform(0, 2 * np.pi)
        outline = _distance(x - away * np.cos(towards), y - away * np.sin(towards), share * radius, look, random)
        distance = np.minimum(distance, outline)
    distance += _within(look.jagged, random) * _noise(size, 0.09, random, octaves=3)
    soft = _within(look.soft, random)
    shape = np.clip((1 + soft - distance) / (2 * soft), 0, 1).astype(np.float32)
    shape = shape * shape * (3 - 2 * shape)

    palette = np.float32(look.palette) * random.uniform(0.85, 1.15) + random.normal(0, 9, 3)
    lean = random.uniform(0, 2 * np.pi)
    mottle = _within(look.mottle, random)
    tone = 0.3 + 0.35 * distance + mottle * _noise(size, 0.22, random, octaves=3)
    tone += 0.6 * mottle * (x * np.cos(lean) + y * np.sin(lean)) / radius
    tone = np.clip(tone, 0, 1) * (len(palette) - 1)
    stops = np.arange(len(palette))
    colour = np.stack([np.interp(tone, stops, palette[:, c]) for c in range(3)], axis=-1).astype(np.float32)
    alpha = shape * _within(look.opacity, random)
    for mark in look.marks:
        if random.random() < mark.chance:
            where = _KINDS[mark.kind](mark, distance, random) * _between(distance, mark.between)
            where = (where * _within(mark.strength, random)).astype(np.float32)
            colour = _mix(colour, np.float32(mark.colour), where[..., None])
            if mark.opaque:
                alpha = np.maximum(alpha, 0.9 * where)
    return colour, alpha, shape


def _distance(x: np.ndarray, y: np.ndarray, radius: float, look: Look, random: np.random.Generator) -> np.ndarray:
    """Distance from a wobbly ellipse's centre, 1 on its outline."""
    angle, stretch = random.uniform(0, np.pi), np.sqrt(_within(look.elongation, random))
    along = (x * np.cos(angle) + y * np.sin(angle)) / stretch
    across = (y * np.cos(angle) - x * np.sin(angle)) * stretch
    theta = np.arctan2(across, along).astype(np.float32)
    orders = np.arange(2, 8, dtype=np.float32)
    sizes = _within(look.irregular, random) * random.normal(0, 1.6, len(orders)) / orders
    phases = random.uniform(0, 2 * np.pi, len(orders)).astype(np.float32)
    outline = 1 + sum(s * np.cos(o * theta + p) for s, o, p in zip(sizes.astype(np.float32), orders, phases))
    return (np.hypot(along, across) / (radius * np.clip(outline, 0.45, 1.5))).astype(np.float32)


def _skin(tone: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """Skin with uneven blood and pigment, and fine relief: float32 [size, size, 3]."""
    blood = 0.028 * random.uniform(0.4, 1.6) * _noise(size, 0.12, random, octaves=4)[..., None]
    relief = 0.022 * random.uniform(0.5, 1.5) * _noise(size, 0.03, random, octaves=2)[..., None]
    return tone * (1 + blood * np.float32([0.4, 1.2, 1.0]) + relief)


def _camera(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Hair, gel bubbles, ruler, uneven light, colour cast, dark corners and sensor noise: uint8 picture."""
    size = len(picture)
    if random.random() < 0.33:
        picture = _hair(picture, random)
    if random.random() < 0.12:
        picture = _bubbles(picture, random)
    if random.random() < 0.12:
        picture = _ruler(picture, random)
    y, x = (np.mgrid[:size, :size].astype(np.float32) + 0.5) / size - 0.5
    towards = random.uniform(0, 2 * np.pi)
    light = (
        1
        + random.uniform(0, 0.22) * (x * np.cos(towards) + y * np.sin(towards))
        - random.uniform(0, 0.35) * (x**2 + y**2)
    )
    cast = random.uniform(0.9, 1.05) * (1 + random.normal(0, 0.03, 3))
    picture = picture * (light[..., None] * cast).astype(np.float32)
    if random.random() < 0.25:
        centre, radius = random.uniform(-0.04, 0.04, 2), random.uniform(0.52, 0.66)
        edge = random.uniform(0.01, 0.06)
        seen = np.clip((radius - np.hypot(x - centre[0], y - centre[1])) / edge, 0, 1)[..., None]
        picture = _mix(np.float32([14, 10, 10]), picture, seen)
    picture = picture + random.normal(0, random.uniform(1, 3), picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _hair(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    size = len(picture)
    layer = np.zeros((size, size), np.float32)
    main = random.uniform(0, np.pi)
    short = random.random() < 0.3
    for _ in range(random.integers(20, 45) if short else random.integers(2, 11)):
        middle, angle = random.uniform(0, size, 2), main + random.normal(0, 0.35)
        half = size * (0.028 if short else random.uniform(0.2, 0.6)) * np.array([np.cos(angle), np.sin(angle)])
        bend = 0 if short else random.normal(0, 0.08) * size
        t = np.linspace(-1, 1, 13)[:, None]
        points = middle + t * half + (1 - t**2) * bend * np.array([-np.sin(angle), np.cos(angle)])
        _polyline(layer, points, max(1, round(size / 180)), random.uniform(0.35, 0.8))
    shadow = cv2.GaussianBlur(layer, (0, 0), size / 130)
    colour = np.float32([[40, 26, 22], [84, 54, 38], [206, 188, 160]][random.choice(3, p=[0.5, 0.35, 0.15])])
    return _mix(picture * (1 - 0.12 * shadow[..., None]), colour, layer[..., None])


def _bubbles(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    size = len(picture)
    rim, glint = np.zeros((2, size, size), np.float32)
    for _ in range(random.integers(3, 10)):
        centre, radius = random.uniform(0, size, 2), max(2, random.uniform(0.012, 0.05) * size)
        _disc(rim, centre, radius, 1.0, max(1, round(size / 130)))
        _disc(glint, centre - 0.35 * radius, 0.25 * radius, 1.0)
    picture = _mix(picture, np.float32([250, 244, 240]), 0.45 * rim[..., None])
    return _mix(picture, np.float32([255, 255, 255]), 0.8 * glint[..., None])


def _ruler(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Tick marks along one edge."""
    size = len(picture)
    layer = np.zeros((size, size), np.float32)
    step, length = random.uniform(0.035, 0.06) * size, 0.05 * size
    for i, at in enumerate(np.arange(random.uniform(0, step), size, step)):
        _polyline(layer, np.array([[at, size], [at, size - length * (1.6 if i % 5 == 0 else 1)]]), 1, 0.85)
    layer = np.ascontiguousarray(np.rot90(layer, random.integers(4)))
    return _mix(picture, np.float32([24, 22, 24]), layer[..., None])


# ---- structures: where a mark lies, float32 [s, s], 0 to 1; distance is 0 at the lesion's centre, 1 at its border


def _network(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Lines of a honeycomb, bent by noise, as strong as the noise says."""
    size = len(distance)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    wave, start = 2 * np.pi / (mark.scale * size), random.uniform(0, np.pi)
    x, y = (axis + 0.45 * mark.scale * size * _noise(size, 0.16, random) for axis in (x, y))
    cells = sum(np.cos(wave * (x * np.cos(a) + y * np.sin(a))) for a in start + np.arange(3) * np.pi / 3)
    return np.clip((0.6 - cells) / 1.6, 0, 1) * np.clip(0.75 + 0.35 * _noise(size, 0.2, random), 0, 1)


def _dots(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    layer = np.zeros_like(distance)
    for centre in _places(mark, distance, random):
        _disc(layer, centre, max(0.7, mark.scale * len(layer) * random.uniform(0.35, 0.65)), random.uniform(0.6, 1))
    return cv2.GaussianBlur(layer, (0, 0), 0.5)


def _blobs(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Ovals with a soft edge that touch each other."""
    size = len(distance)
    layer = np.zeros_like(distance)
    for centre in _places(mark, distance, random):
        axes = mark.scale * size * random.uniform(0.5, 1.3, 2)
        oval = np.zeros_like(distance)
        _disc(oval, centre, axes, random.uniform(0.7, 1), angle=random.uniform(0, 180))
        layer = np.maximum(layer, oval)
    layer = cv2.GaussianBlur(layer, (0, 0), max(0.6, 0.12 * mark.scale * size))
    return layer * np.clip(1 + 0.15 * _noise(size, 0.04, random), 0, 1)


def _patches(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The parts of the lesion where noise is highest; `amount` is their share."""
    noise = _noise(len(distance), mark.scale, random, octaves=3)
    inside = noise[distance < 1]
    level = np.quantile(inside, 1 - _within(mark.amount, random)) if inside.size else 0.0
    return np.clip(0.5 + (noise - level) / 1.3, 0, 1)


def _ridges(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Winding lines: where noise is near zero."""
    return np.clip(
        1 - np.abs(_noise(len(distance), mark.scale, random, octaves=2)) / _within(mark.amount, random), 0, 1
    )


def _area(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return np.clip(0.85 + 0.3 * _noise(len(distance), mark.scale, random, octaves=3), 0, 1)


def _vessels(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Branching trees, thick at the stem."""
    size = len(distance)
    layer = np.zeros_like(distance)
    for start in _places(mark, distance, random):
        towards = np.arctan2(*(size / 2 - start)[::-1]) + random.normal(0, 0.6)
        _branch(layer, start, towards, 0.26 * size, mark.scale * size, 4, random)
    return cv2.GaussianBlur(layer, (0, 0), 0.5)


def _branch(layer, start, towards: float, length: float, width: float, levels: int, random) -> None:
    turns = towards + np.cumsum(random.normal(0, 0.28, 8))
    points = np.vstack([start, start + np.cumsum(length / 8 * np.stack([np.cos(turns), np.sin(turns)], 1), axis=0)])
    _polyline(layer, points, max(1, round(width)), min(1.0, max(0.3, width / 2)))
    if levels > 1:
        for at in random.integers(2, 9, 2):
            side = random.choice([-1, 1]) * random.uniform(0.4, 1.0)
            _branch(layer, points[at], turns[at - 1] + side, 0.6 * length, 0.65 * width, levels - 1, random)


def _streaks(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Short lines: from the border outwards where the mark lies there, across each other where it lies within."""
    size = len(distance)
    layer = np.zeros_like(distance)
    main = random.uniform(0, np.pi)
    for place in _places(mark, distance, random):
        radial = np.arctan2(*(place - size / 2)[::-1])
        angle = radial if mark.between[0] > 0.5 else main + random.choice([0, np.pi / 2])
        half = random.uniform(0.02, 0.05) * size * np.array([np.cos(angle), np.sin(angle)])
        _polyline(layer, np.array([place - half, place + half]), max(1, round(mark.scale * size / 2)), 1.0)
    return cv2.GaussianBlur(layer, (0, 0), 0.6)


_KINDS = {
    "network": _network,
    "dots": _dots,
    "blobs": _blobs,
    "patches": _patches,
    "ridges": _ridges,
    "area": _area,
    "vessels": _vessels,
    "streaks": _streaks,
}


def _places(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """As many points (x, y) within the mark's part of the lesion as its amount says."""
    y, x = np.nonzero((distance >= mark.between[0]) & (distance <= mark.between[1]))
    count = round(_within(mark.amount, random)) if len(x) else 0
    chosen = random.integers(0, max(1, len(x)), count)
    return np.stack([x[chosen], y[chosen]], axis=1).astype(np.float64)


def _between(distance: np.ndarray, limits: Range) -> np.ndarray:
    """1 within the limits, falling to 0 over a tenth of the radius outside them."""
    outer = np.clip(1 + (limits[1] - distance) / 0.1, 0, 1)
    return outer if limits[0] <= 0 else outer * np.clip(1 + (distance - limits[0]) / 0.1, 0, 1)


# ---- small helpers


def _within(limits: Range, random: np.random.Generator) -> float:
    return random.uniform(*limits)


def _mix(below: np.ndarray, above: np.ndarray, share) -> np.ndarray:
    return (below + (above - below) * share).astype(np.float32)


def _noise(size: int, scale: float, random: np.random.Generator, octaves: int = 1) -> np.ndarray:
    """Smooth noise of mean 0 and standard deviation 1; its largest features are `scale` of the side wide."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        cells = int(np.clip(round(1.5 * 2**octave / scale), 2, size))
        grid = random.standard_normal((cells, cells)).astype(np.float32)
        total += cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC) / 2 ** (0.8 * octave)
    return (total - total.mean()) / (total.std() + 1e-6)


_FRACTION = 4  # bits of a pixel that OpenCV's drawing functions take, so that small shapes keep their place


def _polyline(layer: np.ndarray, points: np.ndarray, width: int, value: float) -> None:
    whole = np.rint(points * 2**_FRACTION).astype(np.int32).reshape(1, -1, 2)
    drawn = np.zeros(layer.shape, np.uint8)
    cv2.polylines(drawn, whole, False, 255, width, cv2.LINE_AA, _FRACTION)
    np.maximum(layer, drawn * np.float32(value / 255), out=layer)


def _disc(layer: np.ndarray, centre: np.ndarray, radius, value: float, width: int = -1, angle: float = 0) -> None:
    """A filled disc or oval, or its outline."""
    middle, axes = (np.rint(np.broadcast_to(v, 2) * 2**_FRACTION).astype(int).tolist() for v in (centre, radius))
    drawn = np.zeros(layer.shape, np.uint8)
    cv2.ellipse(drawn, middle, axes, angle, 0, 360, 255, width, cv2.LINE_AA, _FRACTION)
    np.maximum(layer, drawn * np.float32(value / 255), out=layer)
