"""Carries: messages, their contracts, the broker, the work ledger, exceptions, settings and telemetry."""
