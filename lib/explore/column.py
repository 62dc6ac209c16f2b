"""What does one model make of one image: its answer, where that comes from, and its map?"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from lib.explore import answers, panels
from lib.explore.html import paragraph
from lib.explore.memory import Memory
from lib.explore.opened import Opened


class Column:
    """A model beside another one, and what it makes of the image in hand.

    Attributes:
        opened: the model.
        subject: what is known of the image (Opened.subject); None for a picture of one's own.
        probabilities: class -> probability; empty where there is no answer.
        query: features of a picture that was not saved, [channels]; else None.
        heat: its Grad-CAM map [s, s], 0 to 1, of the class `explains`; None where the model could not be loaded.
    """

    def __init__(self, opened: Opened, memory: Memory, tell: Callable[[str], None]):
        self.opened, self._memory, self._tell = opened, memory, tell
        self.forget()

    def forget(self) -> None:
        self.subject: dict[str, Any] | None = None
        self.probabilities: dict[str, float] = {}
        self.query = self.heat = self.explains = None

    def look(self, image: np.ndarray, subject: dict[str, Any] | None) -> None:
        """Take the saved probabilities where there are any, else those of the saved weights."""
        self.forget()
        self.subject = subject
        if subject and subject["saved"]:
            self.probabilities = subject["saved"]
            return
        found = self._try(lambda: self._memory.answer(self.opened, image))
        self.probabilities, self.query = found or ({}, None)

    def input_size(self) -> int | None:
        """The side of the square that the network sees, px; None where it cannot be loaded."""
        return self._try(lambda: self._memory.model(self.opened).input_shape[1])

    def explain(self, image: np.ndarray, label: str) -> None:
        """Make the map of a class, or of the likeliest one where `label` is empty or none of this model's."""
        self.heat = self.explains = None
        if self.probabilities:
            own = label if label in self.opened.names else answers.likeliest(self.probabilities)
            self.explains, self.heat = own, self._try(lambda: self._memory.heat(self.opened, image, own))

    def overlay(self, image: np.ndarray, lesion: np.ndarray, opacity: float, named: panels.Namer) -> str:
        """The map over the image, as HTML."""
        if self.heat is None:
            return paragraph("There is no map without the model.")
        whose = answers.whose_map(self.opened, self.subject)
        return panels.map_panel(image, self.heat, self.explains, lesion, opacity, whose, named)

    def headline(self, own: str) -> str:
        """What it says of the image, or of one's own picture `own`."""
        if self.probabilities:
            return answers.headline(self.opened, self.subject, self.probabilities, own)
        return f"{self.subject['image_id'] if self.subject else own}: no answer without the model"

    def cautions(self) -> list[str]:
        """What it cannot say, and that its weights are random, a sentence each; none where neither needs to be said."""
        words = (answers.cannot_say(self.opened, self.subject), answers.weights_in_words(self.opened))
        return [text for text in words if text and self.probabilities]

    def _try(self, act: Callable):
        """What `act` gives; None and a message where the model cannot be loaded."""
        try:
            return act()
        except Exception as error:  # Keras raises a bare Exception where a download fails
            self._tell(
                f"{self.opened.chosen['backbone']} cannot be loaded: {error}. Set weights_dir above, or "
                "SKINCAS_WEIGHTS, to the folder of weights that the study was trained with."
            )
            return None


def side_by_side(columns: list[Column]) -> pd.DataFrame:
    """The probabilities of one model or two: a row a class, a column a model, NaN where one does not have the class."""
    table = pd.concat([pd.Series(column.probabilities, dtype=float) for column in columns], axis=1)
    titles = [column.opened.title for column in columns]
    return table.set_axis(titles if len(set(titles)) == len(titles) else [titles[0], "the same model"], axis=1)


def title(columns: list[Column], own: str) -> str:
    """What one model or two say of an image, as HTML: the answers, what must be known of them, and where they are from.

    Args:
        own: the name of a picture of one's own; "" for an image of the study.
    """
    first = columns[0]
    lines = [paragraph(first.headline(own), "title")]
    said = first.cautions()
    if said:
        lines.append(paragraph(" ".join(said), "warn"))
    whose = answers.provenance(first.opened, first.subject) if first.subject else ""
    lines.append(paragraph(whose or "Your own picture. It stays in this notebook's memory."))
    for second in columns[1:]:
        whose = answers.whose_answer(second.opened, second.subject) if second.subject else ""
        lines.append(paragraph(f"Beside it, {second.opened.title}. {second.headline(own)}. {whose}", "second"))
        if more := [text for text in second.cautions() if text not in said]:
            lines.append(paragraph(" ".join(more), "warn"))
    return "".join(lines)
