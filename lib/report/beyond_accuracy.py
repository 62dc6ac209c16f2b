"""What accuracy does not say: the model that its figures are of."""

from collections.abc import Mapping

import pandas as pd

from lib.config.paper import scenarios
from lib.config.params import PHASE_TITLES, PHASES, Study
from lib.report.tables import in_paper_order


def select_model(cells: Mapping[tuple, pd.DataFrame], study: Study, scenario: str) -> tuple[str, pd.DataFrame]:
    """The model that stands for a scenario, in words, and its outcomes: the paper's own, fine-tuned, where it was run.

    Args:
        cells: what lib.scores.beyond.select_cells gives. No outcomes where none is of this scenario.
    """
    for backbone in in_paper_order(study.backbones):
        for phase in reversed(PHASES):
            if (scenario, backbone, phase) in cells:
                words = f"{scenarios()[scenario].title}, {backbone}, {PHASE_TITLES[phase].lower()}"
                return words, cells[scenario, backbone, phase]
    return "", pd.DataFrame()
