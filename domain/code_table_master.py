"""Codes about master data: what they say of our customers, and who may write it; the same three lines each."""

from typing import Final

OF_MASTER: Final = """
schedule_invalid medium
    What is said of the days on which something holds contradicts itself.
    Correct the days named in the field.
"""
