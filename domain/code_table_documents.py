"""The table of codes, continued: what stands between a document and the ERP or tax engine that must hold it."""

from typing import Final

OF_DOCUMENTS: Final = """
period_closed high
    The accounting period of the document's posting date is closed in the ERP.
    Open the period in the ERP; the document goes on by itself.
debtor_unknown high
    The ERP connection sends nothing without its own name of the account, and the account has none there, or several.
    Load the account's identity in that system; the document goes on by itself.
accounting_period_closed medium
    The accounting period is closed for revenue: what is booked in it does not change any more.
    Post in one that is open: `tallyline close ENTITY PERIOD --posting-on DAY`.
accounting_period_blocked medium
    The accounting period cannot be closed for revenue yet.
    Do what is named: wait for its end, or let its billing runs issue their documents.
posting_rejected high
    The ERP refused the document.
    Read the ERP's reason, correct master data, then replay.
erp_unreadable high
    What the ERP holds, or how its connection is set up, cannot be understood.
    Look at what is named; correct the connection's settings or the ERP, then replay.
posting_unknown high
    It is not known whether the ERP booked the document, and its key cannot be looked up there.
    Look in the ERP and record what is there.
repair_refused medium
    What is wanted done about a document would not be safe now.
    Read what is in the way; `tallyline repair NUMBER` shows what each system holds.
tax_refused high
    The tax engine refused to take note that a document is issued or void.
    Read its reason, correct it there, then replay.
tax_engine_unknown high
    A line was taxed by an engine that this deployment does not have.
    Set the engine up again, then replay.
posting_differs high
    The ERP booked other totals than the document has.
    Compare both and correct in the ERP.
einvoice_incomplete low
    Master data do not hold what an electronic invoice has to say, such as an address.
    Load what is named; the document itself stays as it is.
einvoice_against_rules low
    The document would break a business rule of EN 16931.
    Read which; correct the parties' tax numbers or the tax rates for documents to come.
einvoice_unknown low
    There is no issued document with this number, or it is void.
    `tallyline trace --invoice NUMBER` shows what became of it.
"""
