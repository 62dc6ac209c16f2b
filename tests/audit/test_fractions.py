"""Which sizes give a printed percentage, against decimal arithmetic that tries every count."""

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.audit.fractions import fits, hundredths


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(st.integers(0, 10000), min_size=1, max_size=3), st.integers(1, 300))
def test_sizes_are_those_that_decimal_arithmetic_finds(units, min_n):
    percentages = [Decimal(unit) / 100 for unit in units]
    expected = [[is_fraction(p, n) for n in range(min_n, min_n + 40)] for p in percentages]
    assert np.array_equal(fits(units, np.arange(min_n, min_n + 40)), expected)


@pytest.mark.parametrize("rounded", [3.12, 3.13])
def test_a_tie_may_be_rounded_either_way(rounded):
    assert fits(hundredths([rounded]), np.array([32])).all()  # 1/32 is 3.125 %


@pytest.mark.parametrize("wrong", [100.01, -0.01, 84.913, float("nan")])
def test_a_value_that_is_not_a_printed_percentage_is_refused(wrong):
    with pytest.raises(ValueError, match=str(wrong)):
        hundredths([wrong])


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
