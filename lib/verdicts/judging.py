"""Every claim of params/claims.yaml against what the study measured: the rules are code, none is judged by hand.

A claim is tested under each protocol on the saved predictions. The rules, with the numbers of claims.yaml's `rules`:

- `equals`, an accuracy or another score: holds where the interval of (ours - printed) covers 0. Both have sampling
  errors: ours by resampling groups, the printed one by Wilson's interval at the test-set size that the audit infers;
  the two are joined by Newcombe's square-and-add. This asks whether the printed number is one that a repetition could
  give (Patil, Peng & Leek, Perspectives on Psychological Science 11:539, 2016).
- `above`, and a gain that is to be positive: the whole interval lies above the value.
- `rank`: ours has that rank among the six backbones, and has it in more than half of the resamples.
- `order: printed`: Kendall's tau between our order of the backbones and the printed one is positive beyond chance.
- `better_than`, `worse_than`: the interval of the paired difference from each rival excludes 0, Bonferroni-corrected.
- `at_least`, `at_most`, and `equals` for counts of the data set: compared as they are.

A claim that the paper's own tables contradict, or that no test set could give, is impossible as printed.
"""

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from lib.config import PROTOCOLS, Study, StudyPaths, scenarios
from lib.verdicts.claims import (
    SCORES,
    Check,
    Claim,
    Claims,
    claimed_value,
    compared,
    load_claims,
    printed_table,
    rule_in_words,
)
from lib.verdicts.contradictions import ceiling, contradiction, sizes_of_table
from lib.verdicts.evidence import Evidence, Sample, data_measure
from lib.verdicts.ladder import difference_interval, percentile_interval

REPRODUCED = "reproduced"
LEAKAGE = "reproduced only with leakage"
NOT_REPRODUCED = "not reproduced"
IMPOSSIBLE = "impossible as printed"
NOT_TESTED = "not tested"
VERDICTS = (REPRODUCED, LEAKAGE, NOT_REPRODUCED, IMPOSSIBLE, NOT_TESTED)


def judge(paths: StudyPaths, study: Study, claims: Claims | None = None, preprocessing: str = "") -> list[dict]:
    """The verdict on every claim, as claims.json holds it.

    Args:
        paths: the study; the audits, predictions, segmentation and Grad-CAM tables are read where they are there.
        preprocessing: the input range that is judged; the study's first if empty.

    Returns:
        A dict a claim: id, place, where, quote, kind, test (as in the file), rule (in words), verdict, reason,
        preprocessing, and `protocols`: protocol (or "all" where no protocol matters) -> verdict, reason,
        holds (true, false or null: what the rule gave, also on synthetic images), numbers.
    """
    claims = claims or load_claims()
    evidence = Evidence(paths, study, claims.rules, preprocessing or study.preprocessings[0])
    return [_judged(claim, evidence) for claim in claims.claims]


def summary(verdicts: list[dict]) -> pd.DataFrame:
    """How many claims have each verdict: a row a kind and one for all, a column a verdict, `claims` their number."""
    table = pd.DataFrame([(claim["kind"], claim["verdict"]) for claim in verdicts], columns=["kind", "verdict"])
    counts = pd.crosstab(table["kind"], table["verdict"]).reindex(columns=list(VERDICTS), fill_value=0)
    counts.loc["all"] = counts.sum()
    return counts.assign(claims=counts.sum(axis=1)).rename_axis(index="kind", columns=None).reset_index()


def as_table(verdicts: list[dict]) -> pd.DataFrame:
    """claims.json as a table: id, where, kind, quote, verdict, reason, rule, and a column with the verdict under each
    protocol."""
    rows = []
    for claim in verdicts:
        row = {key: claim[key] for key in ("id", "place", "where", "kind", "quote", "verdict", "reason", "rule")}
        for protocol in PROTOCOLS:
            own = claim["protocols"].get(protocol) or claim["protocols"].get("all") or {}
            row[protocol] = own.get("verdict", NOT_TESTED)
        rows.append(row)
    return pd.DataFrame(rows)


def _judged(claim: Claim, evidence: Evidence) -> dict:
    test = claim.test
    impossible = contradiction(test, evidence)
    model = test.measure in (*SCORES, "val_loss", "gain")
    outcomes = {}
    if test.measure == "none":
        outcomes["all"] = (None, test.reason, {})
    elif test.measure == "test_images":
        outcomes["all"] = sizes_of_table(test, evidence)
    elif not model:
        outcomes["all"] = _of_the_data(test, evidence)
    else:
        for protocol in PROTOCOLS:
            if protocol not in evidence.study.protocols:
                outcomes[protocol] = (None, f"protocol {protocol} is not in this study", {})
            elif test.scenario not in evidence.study.scenarios:
                outcomes[protocol] = (None, f"scenario {test.scenario} is not in this study", {})
            else:
                outcomes[protocol] = _of_models(test, evidence, protocol)
    synthetic = evidence.study.synthetic and test.measure not in ("none", "test_images")
    protocols = {
        name: _entry(holds, reason, numbers, impossible or ceiling(test, evidence, name), synthetic)
        for name, (holds, reason, numbers) in outcomes.items()
    }
    verdict, reason = _overall(protocols)
    return {
        **claim.model_dump(exclude={"test"}),
        "test": test.model_dump(exclude_none=True),
        "rule": rule_in_words(test, evidence.rules),
        "verdict": verdict,
        "reason": reason,
        "preprocessing": evidence.preprocessing if model else "",
        "protocols": protocols,
    }


def _entry(holds: bool | None, reason: str, numbers: dict, impossible: str, synthetic: bool) -> dict:
    if impossible:
        verdict, why = IMPOSSIBLE, impossible
    elif synthetic:
        verdict, why = NOT_TESTED, "synthetic images"
    else:
        verdict, why = {True: REPRODUCED, False: NOT_REPRODUCED, None: NOT_TESTED}[holds], reason
    return {"verdict": verdict, "reason": why, "holds": holds, "outcome": reason, "numbers": numbers}


def _overall(protocols: dict[str, dict]) -> tuple[str, str]:
    """One verdict from those under the protocols; `published` becomes "only with leakage" where it is.

    The strictest protocol without the leak that was tested (clean, else grouped) decides. What holds under `published`
    and under no tested protocol without the leak, holds only with leakage. What was tested only under `published` and
    holds there is left open: the leak may explain it.
    """
    verdicts = {name: entry["verdict"] for name, entry in protocols.items()}
    if "all" in protocols:
        return verdicts["all"], protocols["all"]["reason"]
    impossible = [name for name, verdict in verdicts.items() if verdict == IMPOSSIBLE]
    if len(impossible) == len(protocols):
        return IMPOSSIBLE, protocols[impossible[0]]["reason"]
    tested = [name for name, verdict in verdicts.items() if verdict in (REPRODUCED, NOT_REPRODUCED)]
    honest = [name for name in tested if name != "published"]
    with_leak = verdicts.get("published") == REPRODUCED
    if not tested:
        name = (impossible or list(protocols))[-1]
        return verdicts[name], protocols[name]["reason"]
    if not honest:
        if with_leak:
            why = protocols["clean"]["reason"]
            return NOT_TESTED, f"holds under published, but nothing without the leak was tested ({why})"
        return NOT_REPRODUCED, f"published: {protocols['published']['reason']}"
    last = honest[-1]
    if verdicts[last] == REPRODUCED:
        return REPRODUCED, f"{last}: {protocols[last]['reason']}"
    if with_leak and all(verdicts[name] == NOT_REPRODUCED for name in honest):
        protocols["published"]["verdict"] = LEAKAGE
        return LEAKAGE, f"published: {protocols['published']['reason']}; {last}: {protocols[last]['reason']}"
    return NOT_REPRODUCED, f"{last}: {protocols[last]['reason']}"


def _of_models(test: Check, evidence: Evidence, protocol: str) -> tuple[bool | None, str, dict]:
    """holds, reason, numbers of a claim about trained models, each of its backbones in turn; one failure decides."""
    name, _ = test.comparison
    if name == "order":
        return _order(test, evidence, protocol)
    rule = {"equals": _equals, "above": _above, "rank": _rank}.get(name, _better)
    parts = {backbone: rule(test, evidence, protocol, backbone) for backbone in test.own}
    if len(parts) == 1:
        return next(iter(parts.values()))
    outcomes = [holds for holds, _, _ in parts.values()]
    holds = False if False in outcomes else None if None in outcomes else True
    decisive = [f"{backbone}: {part[1]}" for backbone, part in parts.items() if holds is True or part[0] is holds]
    return holds, "; ".join(decisive), {backbone: part[2] for backbone, part in parts.items()}


def _measured(test: Check, evidence: Evidence, protocol: str, backbone: str) -> "Sample | str":
    """The sample of a backbone's measure, or why there is none."""
    if test.measure != "gain":
        sample = evidence.sample(protocol, test.scenario, backbone, test.phase, test.measure)
        return sample or evidence.why_missing(protocol, test.scenario, backbone, test.phase)
    samples = []
    for phase in ("finetune", "transfer"):
        sample = evidence.sample(protocol, test.scenario, backbone, phase, "test_accuracy")
        if sample is None:
            return evidence.why_missing(protocol, test.scenario, backbone, phase)
        samples.append(sample)
    return samples[0].less(samples[1])


def _equals(test: Check, evidence: Evidence, protocol: str, backbone: str) -> tuple[bool | None, str, dict]:
    sample = _measured(test, evidence, protocol, backbone)
    if isinstance(sample, str):
        return None, sample, {}
    rules = evidence.rules
    low, high = sample.interval(rules, proportion=test.measure in SCORES)
    if test.measure == "val_loss":
        numbers = {"ours": sample.value, "low": low, "high": high, "printed": test.equals} | _sizes(sample)
        holds = low <= test.equals <= high
        return holds, f"ours {sample.value:.2f} [{low:.2f}, {high:.2f}], printed {test.equals:g}", numbers
    table, phase = scenarios()[test.scenario].table, test.phase or "finetune"
    if test.measure == "gain":
        printed = test.equals / 100
        ends = [evidence.printed(test.scenario, p, backbone, "test_accuracy") for p in ("finetune", "transfer")]
        value, printed_low, printed_high = difference_interval(*ends)
        printed_low, printed_high = printed + printed_low - value, printed + printed_high - value
    else:
        printed = claimed_value(test, backbone) / 100
        printed_low, printed_high = evidence.wilson(printed, table, phase, backbone, test.measure)
    difference, d_low, d_high = difference_interval((sample.value, low, high), (printed, printed_low, printed_high))
    size = evidence.printed_size(table, phase, backbone, "val_n" if test.measure == "val_accuracy" else "test_n")
    numbers = {
        "ours": 100 * sample.value, "low": 100 * low, "high": 100 * high, "printed": 100 * printed,
        "printed_low": 100 * printed_low, "printed_high": 100 * printed_high, "printed_n": size,
        "difference": 100 * difference, "difference_low": 100 * d_low, "difference_high": 100 * d_high,
    }  # fmt: skip
    numbers |= _sizes(sample)
    said = f"ours {100 * sample.value:.1f} [{100 * low:.1f}, {100 * high:.1f}], printed {100 * printed:.2f}"
    if not d_low <= 0 <= d_high:
        return False, f"{said}: {'higher' if difference > 0 else 'lower'} beyond chance", numbers
    if 100 * (d_high - d_low) > rules.widest:
        return None, f"{said}: too few test images to decide ({sample.images} of {sample.groups} groups)", numbers
    return True, said, numbers


def _above(test: Check, evidence: Evidence, protocol: str, backbone: str) -> tuple[bool | None, str, dict]:
    sample = _measured(test, evidence, protocol, backbone)
    if isinstance(sample, str):
        return None, sample, {}
    low, high = (100 * end for end in sample.interval(evidence.rules, proportion=test.measure in SCORES))
    ours = 100 * sample.value
    numbers = {"ours": ours, "low": low, "high": high, "value": test.above} | _sizes(sample)
    said = f"ours {ours:.1f} [{low:.1f}, {high:.1f}], to be above {test.above:g}"
    if low > test.above:
        return True, said, numbers
    return False, said + (": above, but not beyond chance" if ours > test.above else ": not above"), numbers


def _rank(test: Check, evidence: Evidence, protocol: str, backbone: str) -> tuple[bool | None, str, dict]:
    samples = {name: _measured(test, evidence, protocol, name) for name in compared()}
    missing = [name for name, sample in samples.items() if isinstance(sample, str)]
    if missing:
        return None, f"a rank needs all six models; {samples[missing[0]]}", {"missing": missing}
    others = [sample for name, sample in samples.items() if name != backbone]
    rank = 1 + sum(sample.value > samples[backbone].value for sample in others)
    ranks = 1 + sum((sample.resampled > samples[backbone].resampled).astype(int) for sample in others)
    share = float(np.mean(ranks == test.rank))
    numbers = {"rank": rank, "share_of_resamples": share} | _sizes(samples[backbone])
    numbers["scores"] = {name: 100 * sample.value for name, sample in samples.items()}
    said = f"rank {rank} of 6; rank {test.rank} in {100 * share:.0f} % of the resamples"
    return rank == test.rank and share > 0.5, said, numbers


def _order(test: Check, evidence: Evidence, protocol: str) -> tuple[bool | None, str, dict]:
    samples = {name: _measured(test, evidence, protocol, name) for name in compared()}
    missing = [name for name, sample in samples.items() if isinstance(sample, str)]
    if missing:
        return None, f"an order needs all six models; {samples[missing[0]]}", {"missing": missing}
    printed = [
        printed_table().loc[(scenarios()[test.scenario].table, test.phase, name), test.measure] for name in samples
    ]
    ours = [100 * sample.value for sample in samples.values()]
    result = kendalltau(ours, printed, alternative="greater")
    tau, p_value = float(result.statistic), float(result.pvalue)
    numbers = {"tau": tau, "p_value": p_value, "models": len(ours), "scores": dict(zip(samples, ours))}
    if not np.isfinite(tau):
        return False, "all our scores are the same: no order", numbers | {"tau": None, "p_value": None}
    return tau > 0 and p_value < evidence.rules.alpha, f"Kendall's tau {tau:.2f}, p = {p_value:.3f}, 6 models", numbers


def _better(test: Check, evidence: Evidence, protocol: str, backbone: str) -> tuple[bool | None, str, dict]:
    side = 1 if test.better_than else -1
    rivals = test.better_than or test.worse_than
    own = _measured(test, evidence, protocol, backbone)
    if isinstance(own, str):
        return None, own, {}
    outcomes, numbers, said, missing = [], _sizes(own), [], ""
    for rival in rivals:
        sample = _measured(test, evidence, protocol, rival)
        if isinstance(sample, str):
            outcomes.append(None)
            missing = missing or sample
            continue
        difference = own.less(sample)
        low, high = percentile_interval(difference.resampled, 1 - evidence.rules.alpha / len(rivals))
        outcomes.append(low > 0 if side > 0 else high < 0)
        numbers[rival] = {"difference": 100 * difference.value, "low": 100 * low, "high": 100 * high}
        said.append(
            (outcomes[-1], f"{100 * difference.value:+.1f} [{100 * low:.1f}, {100 * high:.1f}] points against {rival}")
        )
    if False in outcomes:
        return False, "; ".join(text for good, text in said if not good), numbers
    if missing:
        return None, missing, numbers
    return True, "; ".join(text for _, text in said), numbers


def _of_the_data(test: Check, evidence: Evidence) -> tuple[bool | None, str, dict]:
    value, unit = data_measure(test.measure, evidence)
    if value is None:
        return None, unit, {}
    name, target = test.comparison
    holds = {"equals": value == target, "at_least": value >= target, "at_most": value <= target}[name]
    return bool(holds), f"{unit}: {value:g}", {"value": float(value), "claimed": target}


def _sizes(sample: Sample) -> dict[str, int]:
    return {"images": int(sample.images), "groups": int(sample.groups)}
