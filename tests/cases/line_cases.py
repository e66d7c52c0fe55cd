"""Published lines of periods that are billed in parts."""

from case_figures import Calculations

CALCULATIONS: Calculations = {}
