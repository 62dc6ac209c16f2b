"""Which account fits all printed tables?

An account is an order (augment first: `by_view`; split first: `by_file`) and an input range (each network's own; 0..255
for all). The evidence `families` and `rows` of `explain` can rule one out."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import product
from math import comb
from typing import Any

import numpy as np
import pandas as pd

from lib.config.paper import backbones, proposed_backbone, scenarios
from lib.config.params import PHASES
from lib.config.printed import printed_rows
from lib.scores.choices import joint_distance, reached_by_chance, runs_where, split_p
from lib.scores.printed import printed_size
from lib.scores.resampling import difference_of_independent, repetition_interval, wilson

LEVEL = 0.05  # evidence with a p as small rules an account out
ORDERS = {"by_view": "augment first", "by_file": "split first"}  # protocol -> its order of augmentation and split
RANGES = {"own": "each network's own range", "0..255": "0..255 for all"}
STANDS, RULED_OUT, NOT_RUN, UNDECIDED = "stands", "ruled out", "not run", "undecided"
COLUMNS = [
    *("evidence", "protocol", "input_range", "table", "phase", "backbone", "what", "value", "low", "high"),
    *("printed", "count", "of", "null", "p", "p_all", "compatible", "compatible_all", "run", "status"),
]


def explain(runs: pd.DataFrame, audit: Mapping[str, Any], printed: pd.DataFrame | None = None) -> pd.DataFrame:
    """All evidence on the accounts, then the accounts and the conclusions.

    Args:
        runs: what lib.scores.choices.fold_accuracies gives.
        audit: audit/printed.json. What counts are the halves (table, phase) where it gives all networks one test set;
            `_all` has the others, too.
        printed: rows of Tables I to IV, per cent; those of the paper if None.

    Returns:
        COLUMNS, fractions of 1; of each `evidence`:
        families: of a half, value: the lowest of the other networks less the highest of those that expect -1..1;
            printed: the difference of their means; null: the chance that a random split parts them.
        split: by `what` networks are split; in count of `of` halves one side lies wholly below; p: of `split_p`.
        pair: the two networks nearest in size that expect different ranges: how far apart; null: on ImageNet.
        lead: of the proposed network, fine-tuned, over the best rival that 0..255 suits, too; null: 0.
        gap: what 0..255 costs a network that expects -1..1: the mean, least and most of the variants.
        rows: how far the printed rows of a network lie from the nearest variant (`what`): root mean square; p: the
            largest of the variants; compatible: with how many of the `of` variants. A network that was not `run` is
            set beside the smallest that was: the null.
        headlines: the smallest network, frozen, own range, in the variant nearest to the proposed one, fine-tuned
            (printed); low, high: of one run; null: at most the chance that a variant reaches a random number.
        account: low: p of the families, high: p of the rows; count of the `of` networks run fit, value of the null
            others; status. conclusion: the input range and the order that the tables favour; status: how strongly.
    """
    printed = printed_rows() if printed is None else printed
    scores = printed.pivot(index=["table", "phase"], columns="backbone", values="test_accuracy") / 100
    scores = scores[[name for name in backbones() if name in scores]]
    runs = runs.reindex(columns=scores.index.unique("table"))
    sizes = {half: {printed_size(audit, *half, name) for name in scores} for half in scores.index}
    alike = scores.loc[[half for half in scores.index if len(sizes[half]) == 1]]
    rows = [*_families(scores, alike), *_leads(alike, sizes), *_gaps(runs), *_rows(runs, scores, alike)]
    rows += _headlines(runs, alike)
    accounts = pd.DataFrame(_accounts([row for row in rows if row["evidence"] == "rows"], runs, alike))
    return pd.DataFrame([*rows, *accounts.to_dict("records"), *_conclusions(accounts)], columns=COLUMNS)


def expect_minus_one(names: Iterable[str]) -> list[str]:
    """The networks whose weights expect -1..1; 0..255 suits the others, exactly or nearly."""
    return [name for name in names if backbones()[name].input == "tf"]


def _families(scores: pd.DataFrame, alike: pd.DataFrame) -> Iterable[dict]:
    known, family = backbones(), expect_minus_one(scores)
    random = 1 / comb(len(scores.columns), len(family))
    for (table, phase), half in scores.iterrows():
        row = {"evidence": "families", "table": table, "phase": phase, "null": random}
        row |= {"value": half.drop(family).min() - half[family].max(), "run": (table, phase) in alike.index}
        yield row | {"printed": half.drop(family).mean() - half[family].mean()}
    fewest, worst = (sorted(scores, key=lambda name: getattr(known[name], key)) for key in ("parameters", "imagenet"))
    for what, order in {"input range": family, "parameters": fewest, "ImageNet accuracy": worst}.items():
        lower = order[: len(family)]
        below = sum(half.drop(lower).min() > half[lower].max() for _, half in alike.iterrows())
        row = {"evidence": "split", "what": what, "backbone": "; ".join(lower), "count": below, "of": len(alike)}
        yield row | {"null": len(alike) * random, "p": split_p(alike, lower), "p_all": split_p(scores, lower)}
    pairs = product(scores.columns.drop(family), family)
    first, second = min(pairs, key=lambda pair: abs(known[pair[0]].parameters - known[pair[1]].parameters))
    apart, on_imagenet = alike[first] - alike[second], (known[first].imagenet - known[second].imagenet) / 100
    row = {"evidence": "pair", "backbone": f"{first} - {second}", "value": apart.mean(), "null": on_imagenet}
    yield row | {"low": apart.min(), "high": apart.max(), "of": len(alike)}


def _leads(alike: pd.DataFrame, sizes: Mapping[tuple, set[int]]) -> Iterable[dict]:
    own = proposed_backbone()
    for (table, phase), half in alike.query("phase == @PHASES[-1]").iterrows():
        rivals, (size,) = half.drop([own, *expect_minus_one(half.index)]), sizes[table, phase]
        lead = difference_of_independent(wilson(half[own], size), wilson(rivals.max(), size))
        row = {"evidence": "lead", "table": table, "phase": phase, "backbone": own, "what": rivals.idxmax()}
        yield row | asdict(lead) | {"null": 0.0}


def _costs(runs: pd.DataFrame) -> pd.DataFrame:
    """What 0..255 costs the networks that expect -1..1: (protocol, variant, phase, backbone) by table."""
    means = runs.groupby(["preprocessing", "protocol", "variant", "phase", "backbone"], sort=False).mean()
    means = means[means.index.isin(expect_minus_one(backbones()), level="backbone")]
    native, raw = (runs_where(means, preprocessing=name).droplevel("preprocessing") for name in ("native", "raw"))
    return (native - raw).dropna(how="all")


def _gaps(runs: pd.DataFrame) -> Iterable[dict]:
    for (protocol, phase, backbone), own in _costs(runs).groupby(["protocol", "phase", "backbone"], sort=False):
        for table, values in own.items():
            row = {"evidence": "gap", "protocol": protocol, "table": table, "phase": phase, "backbone": backbone}
            yield row | {"value": values.mean(), "low": values.min(), "high": values.max(), "of": values.count()}


def _rows(runs: pd.DataFrame, scores: pd.DataFrame, alike: pd.DataFrame) -> Iterable[dict]:
    tables, folds = list(alike.index.unique("table")), runs.dropna().groupby(["phase", "backbone"]).size()
    for phase, backbone, protocol, input_range in product(scores.index.unique("phase"), scores, ORDERS, RANGES):
        rows = scores.xs(phase, level="phase")[backbone]
        run = folds.get((phase, backbone), 0) > len(rows) + 1
        model = {"phase": phase, "backbone": backbone} if run else {"phase": PHASES[0], "backbone": _smallest(runs)}
        fed = "raw" if input_range == "0..255" and expect_minus_one([backbone]) else "native"
        own = runs_where(runs, protocol=protocol, preprocessing=fed, **model).dropna()
        tried = {
            variant: [*joint_distance(folds[tables], rows[tables]), joint_distance(folds[rows.index], rows)[1]]
            for variant, folds in own.groupby("variant", sort=False)
        }
        found = pd.DataFrame(tried, ["value", "p", "p_all"]).T
        row = {"evidence": "rows", "protocol": protocol, "input_range": input_range, "phase": phase, "run": run}
        row |= {"backbone": backbone, "of": len(found), "p": found["p"].max(), "p_all": found["p_all"].max()}
        row |= {"what": found["value"].idxmin(), "value": found["value"].min()} if tried else {}
        found = found > LEVEL
        yield row | {"compatible": found["p"].sum(), "compatible_all": found["p_all"].sum()}


def _headlines(runs: pd.DataFrame, alike: pd.DataFrame) -> Iterable[dict]:
    smallest, printed = _smallest(runs), alike[proposed_backbone()].xs(PHASES[-1], level="phase")
    for protocol in ORDERS:
        tried = runs_where(runs, protocol=protocol, preprocessing="native", phase=PHASES[0], backbone=smallest)
        folds = {name: own[printed.index] for name, own in tried.groupby("variant", sort=False)}
        nearest = min(folds, key=lambda name: joint_distance(folds[name], printed)[0], default=NOT_RUN)
        for table, value in printed.items():
            row = {"evidence": "headlines", "protocol": protocol, "table": table, "phase": PHASES[0]}
            row |= {"backbone": smallest, "what": nearest, "printed": value, "run": bool(folds)}
            once = {name: repetition_interval(own[table].to_numpy()) for name, own in folds.items()}
            if once:
                (scenario,) = (name for name, scenario in scenarios().items() if scenario.table == table)
                chance = reached_by_chance([(one.low, one.high) for one in once.values()], scenario)
                row |= asdict(once[nearest]) | {"null": min(1, chance)}
            yield row


def _accounts(rows: list[dict], runs: pd.DataFrame, alike: pd.DataFrame) -> Iterable[dict]:
    family, costs, rows = expect_minus_one(alike), _costs(runs), pd.DataFrame(rows)
    for protocol, input_range in product(ORDERS, RANGES):
        own = rows[(rows["protocol"] == protocol) & (rows["input_range"] == input_range)]
        run, others = own[own["run"]].dropna(subset="p"), own[~own["run"]]
        p_rows = min(1, len(run) * run["p"].min()) if len(run) else np.nan
        p_families = split_p(alike, family)
        if input_range == "0..255":
            variants = runs_where(costs, protocol=protocol).groupby("variant")
            p_families = max((_given_back_p(alike, cost) for _, cost in variants), default=np.nan)
        status = NOT_RUN if np.isnan([p_families, p_rows]).any() else STANDS
        status = RULED_OUT if status == STANDS and min(p_families, p_rows) <= LEVEL else status
        row = {"evidence": "account", "protocol": protocol, "input_range": input_range, "low": p_families}
        row |= {"high": p_rows, "status": status, "count": (run["compatible"] > 0).sum(), "of": len(run)}
        row |= {"value": (others["compatible"] > 0).sum(), "null": len(others)}
        yield row | {name: run[name].sum() for name in ("compatible", "compatible_all")}


def _given_back_p(alike: pd.DataFrame, costs: pd.DataFrame) -> float:
    """How likely the family lies as far above the others once each of its networks has back what 0..255 costs."""
    family, costs = expect_minus_one(alike), costs.groupby("phase").mean().stack().swaplevel()
    halves = alike.loc[alike.index.intersection(costs.index)]
    halves = halves.assign(**{name: halves[name] + costs[halves.index] for name in family})
    return split_p(halves, halves.columns.drop(family)) if len(halves) else np.nan


def _conclusions(accounts: pd.DataFrame) -> Iterable[dict]:
    """Families decide the input range; given it, rows decide the order. Strong at p of 0.001, moderate at 0.01."""
    low, against = accounts.pivot(index="protocol", columns="input_range", values="low"), {}
    for name in RANGES:
        if (p := low.drop(columns=name).max(axis=None, skipna=False)) <= LEVEL < low[name].max():
            against["input_range"] = name, p
            own = accounts[accounts["input_range"] == name].set_index("protocol")
            for order in own.index[own["status"] == STANDS]:
                if (p := own["high"].drop(order).max(skipna=False)) <= LEVEL:
                    against["protocol"] = order, p
    for what in ("input_range", "protocol"):
        row = {"evidence": "conclusion", "what": what, "status": UNDECIDED}
        if what in against:
            name, p = against[what]
            row |= {what: name, "p": p, "status": "strong" if p <= 0.001 else "moderate" if p <= 0.01 else "weak"}
        yield row


def _smallest(runs: pd.DataFrame) -> str:
    """The network of the fewest parameters that was run in all tables."""
    return min(runs.dropna().index.unique("backbone"), key=lambda name: backbones()[name].parameters, default="")
