"""The claims of params/claims.yaml: what each says, how it is tested, and what the rules are in words."""

from functools import cache
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field, model_validator

from lib.config.paper import backbones, scenarios
from lib.config.params import PHASE_TITLES, PHASES
from lib.config.paths import CLAIMS
from lib.config.printed import printed_rows, roman
from lib.config.schema import ParameterError, Strict, nearest, read_yaml, validated

SCORES = ("test_accuracy", "val_accuracy", "precision", "recall", "f1")
OF_MODELS = (*SCORES, "val_loss", "gain")  # measures of trained models: both questions are asked
COUNTS = ("images", "classes", "contradictory_contents", "label_disagreements", "benign_share")
COMPARISONS = ("equals", "rank", "order", "above", "at_least", "at_most", "better_than", "worse_than")


class Check(Strict):
    """How a claim is tested: one measure, where it is taken, and one comparison."""

    measure: Literal[*OF_MODELS, *COUNTS, "test_images", "segmentation_dice", "gradcam_focus", "none"]
    scenario: str | None = None
    backbone: str | list[str] | None = None  # of a list each must pass
    phase: Literal[PHASES] | None = None
    # per cent and points for scores and gains, plain numbers for losses, counts and shares; `printed`: printed.csv
    equals: float | Literal["printed"] | None = None
    rank: int | None = Field(None, ge=1)
    order: Literal["printed"] | None = None
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    better_than: list[str] | None = None
    worse_than: list[str] | None = None
    reason: str | None = None  # of `none`: why the study cannot test it

    @model_validator(mode="after")
    def check_comparison(self) -> "Check":
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
            "segmentation_dice": {"at_least"},
            "gradcam_focus": {"above"},
        }.get(self.measure, {"equals", "at_least", "at_most"})
        if given[0] not in valid:
            raise ValueError(f"measure {self.measure!r} cannot be compared by {given[0]!r}, only by {sorted(valid)}")
        if self.rank is not None and self.rank > len(paper_backbones()):
            raise ValueError(f"the paper ranks {len(paper_backbones())} models, not {self.rank}")
        if given[0] == "equals" and len(self.own_backbones) > 1:
            raise ValueError("a number is one backbone's; give each backbone a claim of its own")
        model = self.measure in OF_MODELS
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
    def own_backbones(self) -> list[str]:
        """The backbones that the claim is about."""
        return [self.backbone] if isinstance(self.backbone, str) else self.backbone or []

    @property
    def named_backbones(self) -> list[str]:
        return [*self.own_backbones, *(self.better_than or []), *(self.worse_than or [])]

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


class Rules(Strict):
    level: float = Field(0.95, gt=0.5, lt=1)  # of every interval
    alpha: float = Field(0.05, gt=0, lt=0.5)  # of the rank correlation and, corrected, of comparisons with rivals
    max_interval_width: float = Field(20.0, gt=0)  # points: a wider repetition interval cannot confirm a number
    margin: float = Field(5.0, gt=0)  # points: differences that lie within it are none
    leakage_level: float = Field(0.99, gt=0.5, lt=1)  # of intervals that do not overlap where the leak makes a claim
    resamples: int = Field(2000, ge=100)
    seed: int = Field(0, ge=0)


class Claims(Strict):
    rules: Rules = Rules()
    claims: list[Claim]
    every_row: list[Literal[SCORES]] = []  # one claim per printed row of Tables I-IV: its value of this score

    @model_validator(mode="after")
    def check_ids(self) -> "Claims":
        names = [claim.id for claim in self.claims]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"claim ids must be unique; {', '.join(twice)} stands more than once")
        return self


def load_claims(path: Path = CLAIMS) -> Claims:
    """The claims with their rules; `every_row` is expanded to one claim per printed row.

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
    rows = [claim for measure in read.every_row for claim in _table_claims(measure)]
    return Claims(rules=read.rules, claims=[*read.claims, *rows])


def describe_rule(test: Check, rules: Rules) -> str:
    """The rule of a test in words; lib.verdicts.model_claims and data_claims have them in full."""
    interval, margin = f"{100 * rules.level:g} % interval", f"{rules.margin:g} points"
    name, value = test.comparison
    if test.measure == "none":
        return "none: the study has nothing to test it with"
    if test.measure == "test_images":
        return f"yes if one test set of at most {value:g} images gives every printed accuracy of the table"
    if test.measure in COUNTS:
        return f"yes if the count of {test.measure.replace('_', ' ')} {name.replace('_', ' ')} {value:g}"
    if test.measure == "segmentation_dice":
        return f"yes if the {interval} of the named cluster's mean Dice lies above {value:g}, no if it lies below"
    if name == "equals":
        return (
            f"procedure: yes if the printed number lies inside the repetition interval under by_view, which is at most "
            f"{rules.max_interval_width:g} points wide, no if it lies outside; unseen lesions: agrees if the "
            f"{interval} of (clean - printed) holds 0 and lies within {margin}, higher or lower if it excludes 0"
        )
    both = "" if test.measure == "gradcam_focus" else "each under by_view and under clean: "
    if name == "order":
        return (
            f"{both}yes if Kendall's tau between our order and the printed one is positive with p < {rules.alpha:g} "
            f"(exact, one-sided), no if it is negative with such a p or all models lie within {margin}"
        )
    if name == "rank":
        return (
            f"{both}yes if the {interval} of the difference from each other model, Bonferroni-corrected, puts "
            f"{value - 1} above and all others below, no if more, or if one lies within {margin}"
        )
    what = f"({test.measure.replace('_', ' ')} - {value:g})" if name == "above" else "the difference from each rival"
    return f"{both}yes if the {interval} of {what} lies on the claim's side of 0, no if on the other or within {margin}"


def claimed_value(test: Check, backbone: str) -> float:
    """The claimed value of an `equals` test, per cent."""
    if test.equals == "printed":
        return float(printed_table().loc[(scenarios()[test.scenario].table, test.phase, backbone), test.measure])
    return test.equals


@cache
def printed_table() -> pd.DataFrame:
    return printed_rows().set_index(["table", "phase", "backbone"])


@cache
def paper_backbones() -> tuple[str, ...]:
    """The backbones that the paper compares; a study may have others beside them."""
    return tuple(printed_rows()["backbone"].unique())


def _table_claims(measure: str) -> list[Claim]:
    claims = []
    for (table, phase, backbone), row in printed_table().iterrows():
        scenario = next(name for name, entry in scenarios().items() if entry.table == table)
        quote = f"{backbone}, {PHASE_TITLES[phase].lower()}: {measure.replace('_', ' ')} {row[measure]:.2f} %"
        test = Check(measure=measure, scenario=scenario, backbone=backbone, phase=phase, equals="printed")
        claims.append(
            Claim(
                id=f"table-{table}-{phase}-{backbone}-{measure}".lower(), place="table", where=f"Table {roman(table)}",
                quote=quote, kind="number", test=test,
            )
        )  # fmt: skip
    return claims
