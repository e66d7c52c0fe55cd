"""Acts: one thin actor per step, and all input and output."""
