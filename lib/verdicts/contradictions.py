"""Why a claim is impossible as printed: the paper's own tables contradict it, or no test set gives it."""

from lib.config.paper import scenarios
from lib.config.params import PHASES
from lib.config.printed import roman
from lib.scores.printed import audited_row, audited_table
from lib.verdicts.claims import SCORES, Check, paper_backbones, printed_table
from lib.verdicts.evidence import Evidence


def contradiction(test: Check, evidence: Evidence) -> str:
    """Why the claim cannot be true of the paper's own tables; empty where it can."""
    if test.measure == "test_images":
        possible, reason, _ = sizes_of_table(test, evidence)
        return f"{reason}; a tenth of the images is at most {test.at_most:g}" if possible is False else ""
    if test.measure not in (*SCORES, "gain"):
        return ""
    table = scenarios()[test.scenario].table
    for backbone in test.own_backbones:
        reason = _against_table(test, table, backbone)
        if reason:
            return f"Table {roman(table)} contradicts it: {reason}"
        for phase in ([test.phase] if test.phase else PHASES) if test.comparison[0] == "equals" else []:
            reason = _row_error(evidence, table, phase, backbone, test.measure)
            if reason:
                return f"Table {roman(table)}, {phase}, {backbone}: {reason}"
    return ""


def sizes_of_table(test: Check, evidence: Evidence) -> tuple[bool | None, str, dict]:
    """Whether a test set of at most the claimed size gives all accuracies of a table (None: not audited), the reason,
    and the numbers behind it."""
    table = scenarios()[test.scenario].table
    audit = audited_table(evidence.printed_audit, table)
    if not audit:
        return None, "the printed tables were not audited", {}
    sizes = [int(n) for n in audit.get("test_n") or []]
    groups = sorted({int(group["test_n"]) for group in audit.get("groups") or []})
    numbers = {"test_n": sizes, "sizes_of_groups": groups, "at_most": test.at_most}
    reason = f"test-set sizes that give all accuracies of Table {roman(table)}: {_listed(sizes)}"
    if not sizes:
        reason = f"no single test-set size gives all accuracies of Table {roman(table)}"
        reason += f" (its rows share the sizes {_listed(groups)})" if groups else ""
    return any(n <= test.at_most for n in sizes), reason, numbers


def _against_table(test: Check, table: int, backbone: str) -> str:
    """What the printed table says against the claim; empty where it agrees."""
    name, value = test.comparison

    def printed(phase: str, model: str, measure: str = test.measure) -> float:
        return float(printed_table().loc[(table, phase, model), measure])

    if test.measure == "gain":
        before, after = (printed(phase, backbone, "test_accuracy") for phase in PHASES)
        gain = round(after - before, 2)
        # a claim with fewer decimals than the table is a rounded one
        decimals = len(f"{value:g}".partition(".")[2])
        wrong = abs(gain - value) > 0.5 * 10**-decimals + 1e-9 if name == "equals" else gain <= value
        return f"{before:.2f} to {after:.2f} is {gain:+.2f} points" if wrong else ""
    own = printed(test.phase, backbone)
    if name == "equals" and value != "printed" and own != value:
        return f"{test.measure.replace('_', ' ')} of {backbone} is {own:.2f}, not {value:.2f}"
    if name == "rank":
        rank = 1 + sum(printed(test.phase, other) > own for other in paper_backbones())
        return f"{backbone} has rank {rank}" if rank != value else ""
    if name in ("better_than", "worse_than"):
        sign = 1 if name == "better_than" else -1
        wrong = [other for other in value if sign * (own - printed(test.phase, other)) <= 0]
        return "; ".join(f"{other} has {printed(test.phase, other):.2f}, {backbone} {own:.2f}" for other in wrong)
    return f"{own:.2f} is not above {value:g}" if name == "above" and own <= value else ""


def _row_error(evidence: Evidence, table: int, phase: str, backbone: str, measure: str) -> str:
    """What the audit has against a printed row: values that contradict each other, or that no test set gives."""
    for error in evidence.printed_audit.get("row_errors") or []:
        same_row = (str(error.get("table")), error.get("phase"), error.get("backbone")) == (str(table), phase, backbone)
        if same_row and measure in error["scores"]:
            return f"{error['what']} (printed {error.get('printed')}, expected {error.get('expected')})"
    row = audited_row(evidence.printed_audit, table, phase, backbone)
    key = "val_n" if measure == "val_accuracy" else "test_n"
    if row.get(key) == [] and measure in ("test_accuracy", "val_accuracy", "recall"):
        return "no test set of any size in the audited range gives this accuracy"
    if row.get("confusion_matrices") == 0 and measure != "val_accuracy":
        return "no 2x2 confusion matrix gives accuracy, precision, recall and F1 together"
    return ""


def _listed(sizes: list[int]) -> str:
    return ", ".join(str(n) for n in sizes[:8]) + (", ..." if len(sizes) > 8 else "")
