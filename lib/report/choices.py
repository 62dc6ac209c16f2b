"""The choices that the paper leaves open, by name: which of them reach the printed numbers."""

import pandas as pd

from lib.config.params import Study
from lib.config.paths import DEFAULT_VARIANT
from lib.scores.choices import CHOICE, choice_name, compare_choices


def compare_variants(scores: pd.DataFrame, study: Study) -> pd.DataFrame:
    """What lib.scores.choices.compare_choices gives, with `choice`, its name, and variants named by their
    settings; empty where nothing is compared: one choice, or synthetic images."""
    one = len(study.preprocessings) == 1 and not study.variants
    found = compare_choices(scores.iloc[:0] if one or study.synthetic else scores)
    found = found.assign(variant=[_variant_name(study, variant) for variant in found["variant"]])
    return found.assign(choice=[choice_name(*row) for row in found[CHOICE].to_numpy()])


def _variant_name(study: Study, variant: str) -> str:
    """A variant's name; for the study's own settings the values that its variants change, as `rotation 180`."""
    if variant != DEFAULT_VARIANT:
        return variant
    changed = dict.fromkeys(key for settings in study.variants.values() for key in settings)
    own = study.model_dump()
    return ", ".join(f"{key} {own[key]:g}" if isinstance(own[key], float) else f"{key} {own[key]}" for key in changed)
