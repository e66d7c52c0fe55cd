"""The three kinds of refusal a step can meet; all else is a bug."""


class TallylineError(Exception):
    """Base of what a step expects to meet; facts about it are kept as attributes, not in the sentence alone."""

    def __init__(self, sentence: str, **facts: object) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.facts = facts


class Rejection(TallylineError):
    """A person must act: it opens an exception under `code` and is never retried by itself."""

    #: Stable name: the exception's code, the dead-letter reason and the heading of the runbook.
    code = "rejected"
    #: Whether what was named is not there: whoever named it can correct that, and nothing was looked at or done.
    is_unknown = False

    def __init__(self, sentence: str, *, code: str | None = None, **facts: object) -> None:
        super().__init__(sentence, **facts)
        self.code = code or type(self).code


class Snooze(TallylineError):
    """Not a failure and no attempt: the same work is due again after `delay_s` seconds."""

    #: What the work row shows until then: of a dependency that is away `<dependency>_away`, None leaves what it showed.
    outcome: str | None = "snooze"

    def __init__(self, sentence: str, *, delay_s: float, **facts: object) -> None:
        super().__init__(sentence, **facts)
        self.delay_s = delay_s


class Transient(TallylineError):
    """A failure that may pass: counts as an attempt and is tried again after a back-off."""
