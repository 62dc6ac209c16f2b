"""What the paper prints: its tables, and the numbers of its prose."""

import pandas as pd

from lib.config.paths import LITERATURE, PRINTED, TEXT_NUMBERS


def printed_rows() -> pd.DataFrame:
    """The 48 rows of Tables I-IV as printed, in per cent: table, phase, backbone, val_accuracy, test_accuracy,
    precision, recall, f1."""
    return pd.read_csv(PRINTED)


def literature() -> pd.DataFrame:
    """Table V as printed."""
    return pd.read_csv(LITERATURE, dtype=str, keep_default_na=False)


def text_numbers() -> pd.DataFrame:
    """The numbers and ranks that the paper states in prose, each with its quote, from params/text_numbers.csv."""
    return pd.read_csv(TEXT_NUMBERS, dtype=str, keep_default_na=False)


def roman(number: int | str) -> str:
    """The numeral of a table, as the paper counts them: `III` for 3 or "3"; up to ten."""
    return ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")[int(number) - 1]
