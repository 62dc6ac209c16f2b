"""How the lesions of each class look in the demo: their colours, shapes and structures."""

from dataclasses import dataclass

RGB = tuple[int, int, int]
Range = tuple[float, float]


@dataclass(frozen=True)
class Mark:
    """A structure within a lesion: a colour laid on where `kind`, a function of lib.data.drawing, says.

    Args:
        kind: network, dots, blobs, patches, vessels, ridges, area or streaks.
        colour: RGB, 0 to 255.
        strength: range of the share of `colour` where the structure is full.
        scale: size of its elements, a fraction of the image side.
        amount: number of elements, or the share of the lesion for patches.
        between: from where to where it lies, 0 the lesion's centre, 1 its border.
        chance: share of the lesions that have it.
        opaque: shows even where the lesion itself is faint.
    """

    kind: str
    colour: RGB
    strength: Range
    scale: float = 0.05
    amount: Range = (0.4, 0.6)
    between: Range = (0.0, 1.1)
    chance: float = 1.0
    opaque: bool = False


@dataclass(frozen=True)
class Look:
    """How the lesions of a class look; ranges are drawn from uniformly for each lesion.

    Args:
        code: official diagnosis code.
        palette: colours from the lesion's darkest to its lightest part.
        radius: fraction of the image side.
        opacity: share of the lesion's colour over the skin's, at its centre.
        elongation: longer over shorter axis.
        irregular: relative deviation of the outline from an ellipse.
        jagged: roughness of the border (adds noise to the distance from the centre).
        soft: width of the border, a fraction of the radius.
        lobes: how many overlapping shapes it is made of (more: less symmetric).
        mottle: how unevenly the palette is mixed.
        halo: redness of the skin around it, 0 to 1.
        marks: its structures, painted in this order.
    """

    code: str
    palette: tuple[RGB, ...]
    radius: Range
    opacity: Range
    elongation: Range = (1.0, 1.4)
    irregular: Range = (0.03, 0.08)
    jagged: Range = (0.02, 0.06)
    soft: Range = (0.06, 0.15)
    lobes: tuple[int, int] = (1, 1)
    mottle: Range = (0.15, 0.3)
    halo: Range = (0.0, 0.1)
    marks: tuple[Mark, ...] = ()


BROWN = ((74, 42, 30), (122, 74, 50), (164, 110, 78))
GREY_BROWN = ((104, 76, 68), (138, 106, 94), (168, 136, 120))
BLACK_BROWN = ((34, 22, 22), (70, 42, 36), (118, 74, 56))
RED = ((168, 70, 74), (198, 104, 104), (216, 136, 130))
PINK = ((186, 104, 110), (208, 132, 132), (222, 158, 150))
CRIMSON = ((140, 16, 44), (182, 34, 62), (206, 70, 86))
WHITE, CREAM, BLUE_GREY, BLUE_WHITE = (236, 218, 212), (228, 206, 160), (78, 78, 96), (126, 132, 156)
DARK, DARK_RED, BLOOD, BLACK = (52, 30, 24), (104, 30, 34), (184, 44, 58), (26, 18, 20)

LOOKS: dict[str, Look] = {
    # red pseudonetwork round pale follicles, white scale, no clear border
    "actinic keratosis": Look(
        "AK",
        RED,
        (0.28, 0.42),
        (0.55, 0.85),
        irregular=(0.1, 0.2),
        jagged=(0.18, 0.35),
        soft=(0.3, 0.5),
        lobes=(1, 3),
        mottle=(0.3, 0.5),
        halo=(0.2, 0.5),
        marks=(
            Mark("dots", (226, 182, 168), (0.4, 0.75), 0.022, (40, 80)),
            Mark("patches", WHITE, (0.4, 0.75), 0.05, (0.1, 0.22), chance=0.75, opaque=True),
            Mark("patches", (132, 84, 58), (0.4, 0.7), 0.1, (0.15, 0.35), chance=0.4),
        ),
    ),
    # pink, branching vessels, blue-grey ovoid nests, sometimes an ulcer
    "basal cell carcinoma": Look(
        "BCC",
        PINK,
        (0.22, 0.36),
        (0.55, 0.85),
        irregular=(0.06, 0.16),
        jagged=(0.06, 0.15),
        soft=(0.15, 0.3),
        lobes=(1, 2),
        marks=(
            Mark("blobs", BLUE_GREY, (0.55, 0.9), 0.06, (3, 8), (0.0, 0.9), chance=0.75, opaque=True),
            Mark("vessels", BLOOD, (0.6, 0.9), 0.014, (4, 7), (0.0, 1.2), chance=0.85, opaque=True),
            Mark("blobs", DARK_RED, (0.6, 0.9), 0.07, (1, 2), (0.0, 0.6), chance=0.35, opaque=True),
            Mark("streaks", WHITE, (0.3, 0.5), 0.02, (5, 12), (0.0, 0.9), chance=0.3),
        ),
    ),
    # pale scar-like centre, fine network and a soft edge around it
    "dermatofibroma": Look(
        "DF",
        ((166, 112, 92), (188, 136, 116), (206, 158, 140)),
        (0.22, 0.36),
        (0.6, 0.9),
        elongation=(1.0, 1.3),
        soft=(0.25, 0.45),
        halo=(0.1, 0.4),
        marks=(
            Mark("network", (128, 82, 68), (0.2, 0.4), 0.03, between=(0.45, 1.0)),
            Mark("area", WHITE, (0.35, 0.7), 0.08, between=(0.0, 0.4), opaque=True),
            Mark("streaks", WHITE, (0.4, 0.7), 0.02, (6, 14), (0.0, 0.5), chance=0.5, opaque=True),
        ),
    ),
    # asymmetric, ragged, several colours, blue-white veil, black dots and streaks
    "melanoma": Look(
        "MEL",
        BLACK_BROWN,
        (0.26, 0.40),
        (0.75, 0.97),
        elongation=(1.1, 1.5),
        irregular=(0.12, 0.24),
        jagged=(0.05, 0.13),
        soft=(0.08, 0.2),
        lobes=(2, 3),
        mottle=(0.4, 0.65),
        marks=(
            Mark("network", DARK, (0.25, 0.5), 0.042, chance=0.7),
            Mark("patches", BLACK, (0.5, 0.85), 0.22, (0.12, 0.3), chance=0.7),
            Mark("patches", (168, 92, 86), (0.3, 0.55), 0.25, (0.1, 0.2), chance=0.35),
            Mark("patches", BLUE_WHITE, (0.35, 0.6), 0.32, (0.12, 0.28), (0.0, 0.85), chance=0.65),
            Mark("dots", BLACK, (0.6, 0.9), 0.018, (6, 24), (0.4, 1.1), chance=0.7, opaque=True),
            Mark("streaks", DARK, (0.6, 0.9), 0.025, (8, 20), (0.8, 1.25), chance=0.5, opaque=True),
        ),
    ),
    # regular brown oval, one or two browns, even network or globules
    "nevus": Look(
        "NV",
        BROWN,
        (0.2, 0.34),
        (0.7, 0.95),
        soft=(0.08, 0.22),
        marks=(
            Mark("network", (72, 42, 32), (0.25, 0.5), 0.034, chance=0.75),
            Mark("dots", (66, 38, 28), (0.4, 0.75), 0.026, (20, 50), (0.0, 0.95), chance=0.4),
            Mark("area", (56, 34, 28), (0.3, 0.55), 0.1, between=(0.0, 0.45), chance=0.4),
        ),
    ),
    # flat patchy brown with a moth-eaten border
    "pigmented benign keratosis": Look(
        "BKL",
        GREY_BROWN,
        (0.25, 0.38),
        (0.5, 0.85),
        irregular=(0.1, 0.2),
        jagged=(0.12, 0.24),
        soft=(0.1, 0.22),
        lobes=(1, 3),
        mottle=(0.35, 0.6),
        marks=(
            Mark("ridges", (96, 66, 52), (0.3, 0.6), 0.09, (0.15, 0.3), chance=0.6),
            Mark("patches", (206, 164, 146), (0.4, 0.7), 0.1, (0.1, 0.25), chance=0.5),
            Mark("dots", (112, 92, 88), (0.4, 0.7), 0.014, (20, 60), chance=0.4),
        ),
    ),
    # stuck-on and waxy: sharp border, milia-like cysts, comedo-like openings, fissures
    "seborrheic keratosis": Look(
        "BKL",
        ((130, 92, 58), (168, 126, 84), (194, 156, 112)),
        (0.25, 0.4),
        (0.7, 0.95),
        irregular=(0.05, 0.14),
        jagged=(0.03, 0.1),
        soft=(0.02, 0.05),
        mottle=(0.25, 0.45),
        marks=(
            Mark("ridges", (70, 46, 34), (0.45, 0.75), 0.11, (0.15, 0.3), chance=0.7),
            Mark("dots", (240, 224, 188), (0.6, 0.95), 0.022, (6, 22), (0.0, 0.92), chance=0.85),
            Mark("dots", (44, 28, 20), (0.6, 0.95), 0.028, (4, 16), (0.0, 0.92), chance=0.75),
            Mark("patches", CREAM, (0.3, 0.55), 0.1, (0.1, 0.25), chance=0.4),
        ),
    ),
    # red, with white and yellow masses of keratin, blood spots and coiled vessels
    "squamous cell carcinoma": Look(
        "SCC",
        ((186, 84, 88), (212, 122, 116), (224, 158, 142)),
        (0.24, 0.40),
        (0.5, 0.9),
        irregular=(0.1, 0.2),
        jagged=(0.08, 0.2),
        soft=(0.1, 0.25),
        lobes=(1, 3),
        mottle=(0.3, 0.5),
        halo=(0.1, 0.4),
        marks=(
            Mark("patches", CREAM, (0.6, 0.9), 0.12, (0.2, 0.4), (0.0, 0.8), opaque=True),
            Mark("patches", WHITE, (0.5, 0.85), 0.08, (0.1, 0.25), chance=0.7, opaque=True),
            Mark("vessels", DARK_RED, (0.5, 0.8), 0.012, (2, 5), (0.4, 1.1), chance=0.5),
            Mark("blobs", DARK_RED, (0.6, 0.9), 0.05, (1, 4), (0.0, 0.7), chance=0.6, opaque=True),
            Mark("dots", BLOOD, (0.5, 0.8), 0.02, (10, 30), (0.4, 1.0), chance=0.5),
        ),
    ),
    # round red to purple lacunae, sometimes dark with clotted blood, smooth border
    "vascular lesion": Look(
        "VASC",
        CRIMSON,
        (0.15, 0.3),
        (0.7, 0.95),
        irregular=(0.03, 0.1),
        soft=(0.06, 0.2),
        halo=(0.0, 0.35),
        marks=(
            Mark("blobs", (122, 14, 48), (0.5, 0.85), 0.055, (6, 18), (0.0, 0.95), chance=0.85),
            Mark("blobs", (44, 14, 34), (0.6, 0.9), 0.06, (1, 5), (0.0, 0.8), chance=0.5),
            Mark("ridges", (214, 150, 160), (0.3, 0.55), 0.1, (0.12, 0.22), chance=0.5),
        ),
    ),
}

# fair, pink, tan, brown and (polarised light) mauve skin
SKINS: tuple[RGB, ...] = ((226, 188, 174), (220, 176, 164), (216, 178, 160), (206, 164, 146), (212, 174, 168))

# Classes that are taken for each other: a lesion of one may look like one of the other two.
FAMILIES = (
    ("melanoma", "nevus", "pigmented benign keratosis"),
    ("actinic keratosis", "basal cell carcinoma", "squamous cell carcinoma"),
    ("dermatofibroma", "seborrheic keratosis", "vascular lesion"),
)
ATYPICAL = 0.3  # share of the lesions that look like another class of their family
