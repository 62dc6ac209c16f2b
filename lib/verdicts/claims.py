"""The claims of params/claims.yaml: what each says, how it is tested, and what the rules are in words."""

from functools import cache
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field, model_validator

from lib.config import (
    PARAMS,
    PHASES,
    ParameterError,
    Strict,
    backbones,
    nearest,
    published,
    read_yaml,
    scenarios,
    validated,
)

SCORES = ("test_accuracy", "val_accuracy", "precision", "recall", "f1")
DATA_SET = ("images", "classes", "contradictory_contents", "label_disagreements", "benign_share")
COMPARISONS = ("equals", "rank", "order", "above", "at_least", "at_most", "better_than", "worse_than")


class Check(Strict):
    """How a claim is tested: one measure, where it is taken, and one comparison."""

    measure: Literal[
        *SCORES, "val_loss", "gain", *DATA_SET, "test_images", "segmentation_dice", "gradcam_focus", "none"
    ]
    scenario: str | None = None
    backbone: str | list[str] | None = None  # of a list each must pass
    phase: Literal[PHASES] | None = None
    # per cent and points for scores and gains, plain numbers for losses, counts and shares; `printed`: published.csv
    equals: float | Literal["printed"] | None = None
    rank: int | None = Field(None, ge=1, le=6)
    order: Literal["printed"] | None = None
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    better_than: list[str] | None = None
    worse_than: list[str] | None = None
    reason: str | None = None  # of `none`: why the study cannot test it

    @model_validator(mode="after")
    def makes_sense(self) -> "Check":
        given = [name for name in COMPARISONS if getattr(self, name) is not None]
        if self.measure == "none":
            if given or not self.reason:
                raise ValueError("measure `none` takes a reason and no comparison")
            return self
        if len(given) != 1 or self.reason is not None:
            raise ValueError(f"measure {self.measure!r} takes exactly one of {', '.join(COMPARISONS)}, and no reason")
        valid = {
            **dict.fromkeys(SCORES, set(COMPARISONS) - {"at_least", "at_most"}),
            "val_loss": {"equals"},
            "gain": {"equals", "above"},
            "test_images": {"at_most"},
        }.get(self.measure, {"equals", "at_least", "at_most"})
        if given[0] not in valid:
            raise ValueError(f"measure {self.measure!r} cannot be compared by {given[0]!r}, only by {sorted(valid)}")
        model = self.measure in (*SCORES, "val_loss", "gain")
        needs = ["scenario"] * (model or self.measure == "test_images")
        needs += ["backbone"] * (model and self.order is None) + ["phase"] * (model and self.measure != "gain")
        for name in ("scenario", "backbone", "phase"):
            if (getattr(self, name) is not None) != (name in needs):
                raise ValueError(f"measure {self.measure!r} {'needs' if name in needs else 'takes no'} {name!r}")
        for value, names in ((self.scenario, scenarios()), *((b, backbones()) for b in self.named_backbones)):
            if value is not None and value not in names:
                raise ValueError(f"no {value!r}{nearest(value, names)}")
        return self

    @property
    def own(self) -> list[str]:
        """The backbones that the claim is about."""
        return [self.backbone] if isinstance(self.backbone, str) else self.backbone or []

    @property
    def named_backbones(self) -> list[str]:
        return [*self.own, *(self.better_than or []), *(self.worse_than or [])]

    @property
    def comparison(self) -> tuple[str, Any]:
        """The one comparison given, as (name, value); ("", None) of `none`."""
        given = [(name, getattr(self, name)) for name in COMPARISONS if getattr(self, name) is not None]
        return given[0] if given else ("", None)


class Claim(Strict):
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    place: Literal["abstract", "section", "table", "figure"]
    where: str  # "abstract", "section IV.B", "Table V", "Fig. 14"
    quote: str
    kind: Literal["number", "rank", "improvement", "literature", "data set", "method"]
    test: Check


class Rows(Strict):
    """One claim for each printed row of Tables I-IV: the value of `measure` there."""

    measure: Literal[SCORES]


class Rules(Strict):
    level: float = Field(0.95, gt=0.5, lt=1)  # of every interval
    alpha: float = Field(0.05, gt=0, lt=0.5)  # of the rank correlation and, corrected, of comparisons with rivals
    widest: float = Field(20.0, gt=0)  # points: a wider interval of (ours - printed) cannot confirm a number
    resamples: int = Field(2000, ge=100)
    seed: int = Field(0, ge=0)


class Claims(Strict):
    rules: Rules = Rules()
    claims: list[Claim]
    every_row: list[Rows] = []

    @model_validator(mode="after")
    def each_once(self) -> "Claims":
        names = [claim.id for claim in self.claims]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"claim ids must be unique; {', '.join(twice)} stands more than once")
        return self


def load_claims(path: Path = PARAMS / "claims.yaml") -> Claims:
    """The claims with their rules; `every_row` is expanded to one claim a printed row.

    Raises:
        ParameterError: unknown key or measure, a comparison that does not fit the measure, an id used twice.
    """
    content = read_yaml(path)
    # entry by entry first, so that the message names the claim
    for number, entry in enumerate(content.get("claims") or []):
        if not isinstance(entry, dict):
            raise ParameterError(f"{path}: claim {number + 1} must hold `key: value` lines")
        validated(Claim, entry, path, str(entry.get("id", f"claims.{number}")))
    read = validated(Claims, content, path)
    rows = [claim for entry in read.every_row for claim in _table_claims(entry.measure)]
    return Claims(rules=read.rules, claims=[*read.claims, *rows])


def rule_in_words(test: Check, rules: Rules) -> str:
    """The rule of a test, with its interval, test and margin, in one sentence."""
    interval = f"{100 * rules.level:g} % interval (groups resampled {rules.resamples} times)"
    name, value = test.comparison
    if test.measure == "none":
        return "none: the study has nothing to test it with"
    if test.measure == "test_images":
        return f"holds if one test set of at most {value:g} images gives every printed accuracy of the table"
    if test.measure == "gradcam_focus":
        return "holds if the lesion's share of the Grad-CAM map is larger than its share of the image, on average"
    if test.measure in (*DATA_SET, "segmentation_dice"):
        what = {"equals": "equals", "at_least": "is at least", "at_most": "is at most"}[name]
        return f"holds if {test.measure.replace('_', ' ')} {what} {value:g}"
    measure = test.measure.replace("_", " ")
    if test.measure == "gain":
        measure = "test accuracy gained by fine-tuning"
    if name == "equals" and test.measure == "val_loss":
        return f"holds if the {interval} of our validation loss covers the printed {value:g}"
    if name == "equals":
        return (
            f"holds if the {100 * rules.level:g} % interval of ({measure}, ours - printed) covers 0: groups resampled "
            f"{rules.resamples} times for ours, Wilson at the inferred test-set size for the printed; not tested if it "
            f"covers 0 but is wider than {rules.widest:g} points"
        )
    if name == "above":
        return f"holds if the whole {interval} of our {measure} is above {value:g}"
    if name == "rank":
        also = f"also in more than half of {rules.resamples} resamples"
        return f"holds if its {measure} has rank {value} of the six models, {also}"
    if name == "order":
        return (
            "holds if Kendall's tau between our order of the six models and the printed one is positive "
            f"with p < {rules.alpha:g} (exact, one-sided)"
        )
    side = "above" if name == "better_than" else "below"
    corrected = f"Bonferroni-corrected for {len(value)} rivals" if len(value) > 1 else "one rival"
    return f"holds if its {measure} is {side} that of {', '.join(value)}: paired {interval}, {corrected}, excludes 0"


def claimed_value(test: Check, backbone: str) -> float:
    """The claimed value of an `equals` test, per cent."""
    if test.equals == "printed":
        return float(printed_table().loc[(scenarios()[test.scenario].table, test.phase, backbone), test.measure])
    return test.equals


@cache
def printed_table() -> pd.DataFrame:
    return published().set_index(["table", "phase", "backbone"])


def compared() -> list[str]:
    """The backbones that the paper compares; a study may have others beside them."""
    return list(published()["backbone"].unique())


def roman(table: int) -> str:
    return ("", "I", "II", "III", "IV", "V")[table]


def _table_claims(measure: str) -> list[Claim]:
    claims = []
    for (table, phase, backbone), row in printed_table().iterrows():
        scenario = next(name for name, entry in scenarios().items() if entry.table == table)
        quote = f"{backbones()[backbone].printed}, {phase}: {measure.replace('_', ' ')} {row[measure]:.2f}%"
        test = Check(measure=measure, scenario=scenario, backbone=backbone, phase=phase, equals="printed")
        claims.append(
            Claim(
                id=f"table-{table}-{phase}-{backbone}-{measure}".lower(), place="table", where=f"Table {roman(table)}",
                quote=quote, kind="number", test=test,
            )
        )  # fmt: skip
    return claims
