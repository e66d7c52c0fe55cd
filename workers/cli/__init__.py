"""The operator's command line: one file per command, what they share in `console` and `reach`."""
