"""Published discounts, coupons, commitments and credits."""

from case_figures import Calculations

CALCULATIONS: Calculations = {}
