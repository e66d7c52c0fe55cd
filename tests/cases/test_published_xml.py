"""The published examples of EN 16931, written as documents of ours, by the schemas and rules that CEN publishes."""

import pytest
from case_figures import stated
from document_cases import published_invoice
from published_rules import published
from test_published import RECORDS

from domain.ubl import written

pytestmark = pytest.mark.brought

EXAMPLES = [record for record in RECORDS if record["model"] == "en16931"]


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda record: record["id"])
def test_a_published_example_keeps_every_rule_as_we_write_it(record):
    verdict = published().of(written(published_invoice(stated(record))))

    assert (verdict.schema, verdict.broken) == ([], set())
    assert verdict.is_right
