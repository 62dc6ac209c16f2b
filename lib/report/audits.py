"""Tables of the audits and of the protocols, as the report shows them."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.config.printed import roman
from lib.data.folds import UNUSED
from lib.data.pool import POOLS
from lib.report.data import read_parquet
from lib.report.wording import column, columns, in_words, plain


def printed_sizes(audit: Mapping[str, Any]) -> pd.DataFrame:
    """The sizes of the validation and test sets that give every printed accuracy, by audit/printed.json: one row per
    printed table."""
    return pd.DataFrame(
        {
            "table": roman(number),
            "val_n": in_words(table["val_n"]),
            "test_n": in_words(table["test_n"]),
            "groups_of_rows": "; ".join(
                f"{group['test_n']}: {len(group['rows'])} of {len(table['rows'])}" for group in table["groups"]
            ),
            "impossible_rows": sum(row.get("confusion_matrices") == 0 for row in table["rows"]),
        }
        for number, table in audit["tables"].items()
    )


def list_errors(errors: list[Mapping[str, Any]]) -> pd.DataFrame:
    """Errors of audit/printed.json, one per row: all in words, numbers of tables as the paper writes them."""
    table = pd.DataFrame(errors).fillna("")
    table = table.map(lambda value: value if isinstance(value, list) else plain(in_words(value)))
    table = table.drop(columns="scores", errors="ignore").rename(columns={"printed": "as_printed"})
    for key in {"table", "tables", "of"} & set(table):
        numbers = [[value] if isinstance(value, str) else value for value in table[key]]
        table[key] = [", ".join(map(roman, names)) for names in numbers]
    return table


def as_table(value: Mapping[str, Any] | list[dict] | None) -> pd.DataFrame | None:
    """A part of audit/dataset.json: a list of records, a cross table, or names and values; None where there is none."""
    if not value:
        return None
    if isinstance(value, list):
        return pd.DataFrame(value)
    if all(isinstance(row, dict) for row in value.values()):
        table = pd.DataFrame.from_dict(value, orient="index").rename_axis("name").reset_index()
        return table.assign(name=[columns()[name]["title"] if name in columns() else name for name in table["name"]])
    return pd.DataFrame([{"name": column(key)["title"], "value": item} for key, item in value.items()])


def protocol_sizes(paths: StudyPaths, study: Study) -> pd.DataFrame | None:
    """What takes part under each protocol in each pool of classes: views, originals, the smallest and the largest
    tenth, groups (`lesions`) and those that lie in several tenths (`crossing`)."""
    views, rows = read_parquet(paths.views), []
    for protocol in study.protocols:
        table = read_parquet(paths.protocol(protocol))
        for pool in POOLS if table is not None and views is not None else ():
            tenth = f"tenth_{pool}"
            used = table[table[tenth] != UNUSED]
            sizes, spread = used.groupby(tenth).size(), used.groupby("group")[tenth].nunique()
            counts = {"views": len(used), "originals": (views.loc[used["row"], "view"] == 0).sum()}
            counts |= {"least": sizes.min(), "most": sizes.max()}
            counts |= {"lesions": len(spread), "crossing": (spread > 1).sum()}
            rows.append({"protocol": protocol, "pool": pool} | counts)
    return pd.DataFrame(rows) if rows else None
