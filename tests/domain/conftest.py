"""The domain's tests: examples from published cases, and properties that hold for any input."""

from hypothesis import settings

settings.register_profile("domain", max_examples=25, deadline=None)
settings.load_profile("domain")
