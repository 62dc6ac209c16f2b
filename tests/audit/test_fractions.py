"""Which sizes give a printed percentage, against decimal arithmetic that tries every count."""

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.audit.fractions import size_fits


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(st.integers(0, 10000), min_size=1, max_size=3), st.integers(1, 300))
def test_sizes_are_those_that_decimal_arithmetic_finds(units, min_n):
    percentages = [Decimal(unit) / 100 for unit in units]
    expected = [[is_fraction(p, n) for n in range(min_n, min_n + 40)] for p in percentages]
    assert np.array_equal(size_fits([float(p) for p in percentages], min_n, min_n + 39), expected)


@pytest.mark.parametrize("rounded", [3.12, 3.13])
def test_a_tie_may_be_rounded_either_way(rounded):
    assert size_fits([rounded], 32, 32).all()  # 1/32 is 3.125 %


@pytest.mark.parametrize("wrong", [100.01, -0.01, 84.913, float("nan")])
def test_what_is_no_printed_percentage_is_refused(wrong):
    with pytest.raises(ValueError, match="no percentage with 2 decimals"):
        size_fits([wrong], 100, 1500)


def test_an_empty_range_of_sizes_is_refused():
    with pytest.raises(ValueError, match="no range"):
        size_fits([50.0], 200, 100)


def is_fraction(percentage: Decimal, n: int) -> bool:
    """By trying every k with exact fractions and both ways of rounding to two decimals."""
    place = Decimal("0.01")
    for k in range(n + 1):
        exact = Fraction(100 * k, n)
        if abs(exact - Fraction(percentage)) > 1:
            continue
        value = Decimal(exact.numerator) / Decimal(exact.denominator)
        if percentage in (value.quantize(place, ROUND_HALF_UP), value.quantize(place, ROUND_HALF_EVEN)):
            return True
    return False
