"""The claims of params/claims.yaml: what each says, and how it is tested."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field, model_validator

from lib.config.paper import backbones, scenarios
from lib.config.params import PHASE_TITLES, PHASES
from lib.config.paths import CLAIMS
from lib.config.printed import printed_rows, roman
from lib.config.schema import Strict, read_yaml, refuse_unknown, validated

SCORES = ("test_accuracy", "val_accuracy", "precision", "recall", "f1")
OF_MODELS = (*SCORES, "gain")  # measures of trained models
OF_DATA = ("images", "classes", "contradictory_contents", "label_error_share", "benign_share")
COMPARISONS = ("equals", "rank", "above", "at_least", "at_most", "better_than", "worse_than")
# measure -> how it can be compared; of others: equals, at_least or at_most
FITTING = dict.fromkeys(SCORES, {"equals", "rank", "above", "better_than", "worse_than"})
FITTING |= {"gain": {"equals", "above"}, "split_ratio": {"equals"}, "gradcam_focus": {"above"}}
FITTING |= {"label_error_share": {"at_most"}, "segmentation_dice": {"at_least"}}


class Check(Strict):
    """How a claim is tested: one measure, where it is taken, and one comparison."""

    measure: Literal[*OF_MODELS, *OF_DATA, "split_ratio", "segmentation_dice", "gradcam_focus", "none"]
    scenario: str | None = None
    backbone: str | list[str] | None = None  # of a list each must pass
    phase: Literal[PHASES] | None = None
    # per cent and points for scores and gains, plain numbers for counts and shares; `printed`: printed.csv
    equals: float | Literal["printed"] | None = None
    rank: int | None = Field(None, ge=1)
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
        valid = FITTING.get(self.measure, {"equals", "at_least", "at_most"})
        if given[0] not in valid:
            raise ValueError(f"measure {self.measure!r} cannot be compared by {given[0]!r}, only by {sorted(valid)}")
        if given[0] == "equals" and len(self.own_backbones) > 1:
            raise ValueError("a number is one backbone's; give each backbone a claim of its own")
        model = self.measure in OF_MODELS
        needs = {"scenario": model or self.measure == "split_ratio", "backbone": model}
        for name, needed in (needs | {"phase": model and self.measure != "gain"}).items():
            if (getattr(self, name) is not None) != needed:
                raise ValueError(f"measure {self.measure!r} {'needs' if needed else 'takes no'} {name!r}")
        refuse_unknown([self.scenario] if self.scenario else [], scenarios(), "no scenario")
        refuse_unknown([*self.own_backbones, *self.rivals], backbones(), "no backbone")
        return self

    @property
    def own_backbones(self) -> list[str]:
        """The backbones that the claim is about."""
        return [self.backbone] if isinstance(self.backbone, str) else self.backbone or []

    @property
    def rivals(self) -> list[str]:
        """The backbones that its own is compared with; of a rank those of the paper, whatever others a study has."""
        if self.rank is not None:
            return [name for name in printed_table().index.unique("backbone") if name not in self.own_backbones]
        return self.better_than or self.worse_than or []

    @property
    def comparison(self) -> tuple[str, Any]:
        """The one comparison given, as (name, value); ("", None) of `none`."""
        return next(((name, value) for name in COMPARISONS if (value := getattr(self, name)) is not None), ("", None))


class Claim(Strict):
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    place: Literal["abstract", "section", "table", "figure"]
    where: str  # "abstract", "section IV.B", "Table V", "Fig. 14"
    quote: str
    kind: Literal["number", "rank", "improvement", "literature", "data set", "method"]
    test: Check


class Rules(Strict):
    level: float = Field(0.95, gt=0.5, lt=1)  # of every interval
    alpha: float = Field(0.05, gt=0, lt=0.5)  # corrected: numbers of a study by Holm, rivals of a claim by Bonferroni
    max_interval_width: float = Field(20.0, gt=0)  # points: a wider repetition interval cannot confirm a number
    margin: float = Field(5.0, gt=0)  # points: `clean` agrees with a number if it is lower by no more than this
    resamples: int = Field(2000, ge=100)
    seed: int = Field(0, ge=0)


class Claims(Strict):
    rules: Rules = Rules()
    claims: list[Claim]
    every_row: list[Literal[SCORES]] = []  # one claim per printed row of Tables I-IV: its value of this score

    @model_validator(mode="after")
    def check_ids(self) -> "Claims":
        names = [claim.id for claim in self.claims]
        if twice := sorted({name for name in names if names.count(name) > 1}):
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
        name = entry.get("id") if isinstance(entry, dict) else None
        validated(Claim, entry, path, str(name or f"claims.{number}"))
    read = validated(Claims, content, path)
    rows = [validated(Claim, row, path) for measure in read.every_row for row in _table_claims(measure)]
    return Claims(rules=read.rules, claims=[*read.claims, *rows])


def claimed_value(test: Check, backbone: str) -> float:
    """The claimed value of an `equals` test, per cent."""
    if test.equals == "printed":
        return float(printed_table().loc[(scenarios()[test.scenario].table, test.phase, backbone), test.measure])
    return test.equals


def claimed_sides(test: Check, backbone: str) -> dict[str, int]:
    """Rival -> 1 where the claim puts the backbone ahead of it, else -1; of a rank as the printed table has them."""
    if test.rank is None:
        return dict.fromkeys(test.rivals, 1 if test.better_than else -1)
    scores = printed_table().loc[scenarios()[test.scenario].table].loc[test.phase][test.measure]
    return {rival: 1 if scores[backbone] > scores[rival] else -1 for rival in test.rivals}


@cache
def printed_table() -> pd.DataFrame:
    return printed_rows().set_index(["table", "phase", "backbone"])


def _table_claims(measure: str) -> Iterable[dict]:
    names = {entry.table: name for name, entry in scenarios().items()}
    for (table, phase, backbone), value in printed_table()[measure].items():
        quote = f"{backbone}, {PHASE_TITLES[phase].lower()}: {measure.replace('_', ' ')} {value:.2f} %"
        cell = {"scenario": names[table], "backbone": backbone, "phase": phase}
        claim = {"id": f"table-{table}-{phase}-{backbone}-{measure}".lower(), "place": "table", "kind": "number"}
        claim |= {"where": f"Table {roman(table)}", "quote": quote}
        yield claim | {"test": cell | {"measure": measure, "equals": "printed"}}
