import pytest

from domain.errors import Rejection, Snooze, TallylineError, Transient

pytestmark = pytest.mark.fast


def test_a_rejection_keeps_its_sentence_code_and_facts():
    rejection = Rejection("no price", code="price_not_found", metric="calls")

    assert (str(rejection), rejection.sentence) == ("no price", "no price")
    assert (rejection.code, rejection.facts) == ("price_not_found", {"metric": "calls"})
    assert Rejection("no").code == "rejected"


def test_a_snooze_says_when_it_is_due_again():
    assert Snooze("too fast", delay_s=1.5, erp="x").delay_s == 1.5


def test_a_failure_that_may_pass_is_neither():
    assert isinstance(Transient("away"), TallylineError)
    assert not isinstance(Transient("away"), Rejection | Snooze)
