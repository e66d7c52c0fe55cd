"""Decides: the pure rules of usage-to-invoice; standard library only, no clock, no input or output."""
