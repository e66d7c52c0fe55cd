"""The table of codes: three lines each, `name severity`, what it means, what to do; parsed by `codes.py`."""

from typing import Final

#: What a producer's software or our machinery got wrong.
TECHNICAL: Final = """
body_unreadable medium
    The body is not JSON, not UTF-8, or holds NaN or Infinity.
    Send UTF-8 JSON; write numbers in digits.
body_too_large medium
    The body has more bytes than one message may have.
    Send smaller batches.
batch_too_large medium
    The batch has more events than one message may have.
    Send smaller batches.
content_type_unknown medium
    The message says neither that it is a CloudEvent nor a batch of them.
    Set the content type, or the cloudEvents headers.
envelope_invalid medium
    An attribute of the envelope is missing or of the wrong type.
    Give the attribute named in the field.
specversion_unsupported medium
    The event is of another version of CloudEvents than 1.0.
    Send specversion 1.0.
sequence_invalid medium
    The event's number in its source's series is not a text of 1 to 18 decimal digits, or not of the type Integer.
    Send it as "42" with the sequencetype Integer or none, or send the event without a number.
id_missing medium
    The event has no id.
    Give every event an id that stays the same when it is sent again.
source_missing medium
    The event has no source.
    Name the system that reports.
type_missing medium
    The event has no type.
    Name the meter.
time_missing medium
    The event has no time.
    Give the instant at which the usage happened.
time_invalid medium
    The time is not an RFC 3339 timestamp.
    Write it as 2026-01-31T12:00:00Z.
time_naive medium
    The time has no offset, so it names no instant.
    End it with Z or an offset such as +01:00.
time_is_leap_second low
    The time lies in a leap second.
    Send the second before, 59, instead of 60.
data_invalid medium
    The data are not one JSON object, or hold something JSON has no form for.
    Send one JSON object.
data_too_deep medium
    The data nest deeper than is read.
    Send flat properties.
text_invalid medium
    A text holds a NUL or half of a surrogate pair.
    Send valid Unicode without U+0000.
number_out_of_bounds medium
    A number has more digits or a larger exponent than is kept exactly.
    Send at most 38 digits within 10^-30 to 10^31.
definition_invalid medium
    A definition in the master data cannot be used.
    Correct the field that is named.
unexpected_error high
    A step met an error that nobody foresaw.
    Read the error, correct the software, then replay.
poison high
    A step was started several times and never came to an end: it may kill its process.
    Look at what the row holds before replaying it alone.
attempts_exhausted high
    A step failed as often as it may.
    Remove the cause that the last error names, then replay.
hint_unreadable low
    A message on a step's queue is not one of ours.
    Find who sends it; the work itself is hinted again.
hint_for_unknown_actor low
    A hint is for an actor that this process does not have.
    Start a process that has it; the work itself is hinted again.
billing_period_gap high
    More billing periods are missing than a century has, so some event time is absurd.
    Find the event; lower the age its meter allows.
aggregate_negative high
    More was taken out of an aggregate than was put in.
    Recompute the window from its attributions and compare.
journal_unbalanced high
    The postings of an entry do not sum to zero.
    Correct the rule that made them; nothing was booked.
currencies_mixed high
    Amounts in different currencies met where one is needed.
    Correct the contract or price whose currency differs.
window_outside medium
    The days in use are not within the full period.
    Correct the dates that are named.
period_empty medium
    A period would end before it begins.
    Correct the dates that are named.
interval_invalid medium
    The text is not a whole number of years, months, weeks or days.
    Write it as P1M, P3M, P1Y, P2W or P10D.
too_many_periods medium
    More periods would lie between two instants than a century has months.
    Correct the instants or the interval.
external_key_invalid high
    A document's key in the ERP would be too short, too long or not plain.
    Correct the rule that makes it.
"""

#: What master data or a decision about usage is missing.
OF_USAGE: Final = """
source_unknown medium
    No source of this name is registered.
    Register the source, then replay.
sequence_gap high
    A source has numbered its events, and some of the numbers have not arrived.
    Have the source send them; set sequence_start if its series starts later; dismiss the gap if they will never come.
source_not_allowed high
    The broker user that sent the event may not claim its source.
    Allow the user for the source, or find out who sends.
quota_exceeded medium
    The source sent more events in an hour than agreed.
    Find out why, or raise the quota, then replay.
meter_unknown medium
    No meter has the event's type.
    Publish the meter, then replay; or correct the type with `tallyline replay edit`.
meter_invalid medium
    A meter's definition contradicts itself.
    Correct the field that is named.
schema_unknown medium
    The meter has no version with the event's dataschema.
    Publish that version, or send a known dataschema.
field_missing medium
    The data lack a field that the meter's version demands.
    Send the field.
field_invalid medium
    A field of the data is not of the kind that the meter's version demands.
    Send the kind that the sentence names; a CSV file needs a mapping for whatever is no text.
time_too_old medium
    The usage happened longer before its receipt than the meter allows.
    Decide with finance; raise the age, then replay, or dismiss.
time_in_future medium
    The usage would happen after its receipt.
    Set the producer's clock right and send it again.
conflicting_duplicate high
    An event with the same source and id but another body was accepted before.
    Compare both; send the right one under a new id.
subscription_not_found medium
    No subscription is mapped to the event's source and subject at its time.
    Publish the mapping; the usage heals by itself.
contract_not_in_force medium
    The subscription's contract has no version at the event's time.
    Publish the version; the usage heals by itself.
entitlement_invalid medium
    The terms of an entitlement do not fit its feature, or leave something open.
    Correct the field that is named.
feature_unknown low
    There is no such subscription, or no such feature.
    Correct the name, or publish the feature.
entitlement_amount_invalid low
    What is asked for is no positive quantity.
    Ask for more than nothing, or for no amount at all.
price_not_found high
    The contract version has no price for a metric that was used.
    Add the price to the contract version; the work heals by itself.
metric_not_found medium
    The meter is to be billed but no metric reads it.
    Publish the metric; the usage heals by itself.
metric_invalid medium
    A metric's definition contradicts itself.
    Correct the field that is named.
exclusion_rule_invalid medium
    An exclusion rule's definition contradicts itself.
    Correct the field that is named.
quantity_missing medium
    The event lacks a property without which a metric has no quantity.
    Give what is missing with `tallyline replay edit`, or bill without it: `tallyline close` with --override.
quantity_invalid medium
    A property that a metric reads is not what it must be: a number, or add or remove.
    Give what is missing with `tallyline replay edit`, or bill without it: `tallyline close` with --override.
"""

#: What stands between usage and a document that finance can trust.
OF_MONEY: Final = """
price_invalid high
    The terms of a price contradict themselves.
    Correct the field that is named.
coupon_invalid high
    A coupon gives nothing, gives two things, or gives more than there is.
    Correct the field that is named.
credit_invalid high
    A grant of credit is over nothing, or over before it begins.
    Correct the field that is named.
price_book_invalid high
    A price book contradicts itself, such as by two prices for one metric in one plan.
    Correct the field that is named.
quantity_negative high
    The quantity of a period is below zero and the price does not say what that means.
    Correct the usage, or say so in the price.
values_too_many high
    The windows of a metric hold more values than are read at once to measure them.
    Keep the usage apart by a dimension, or take an aggregation that keeps less.
not_measured high
    The price needs more of the usage than its metric keeps.
    Price a metric whose aggregation keeps it, or change the price.
usage_not_priced high
    The price has terms for some values or names, and this usage has another.
    Publish a contract version whose price has terms for it or a default, or correct the usage.
currency_unknown medium
    The code is no currency of ISO 4217.
    Use a code such as EUR.
currency_without_minor_units medium
    The code stands for a metal or a unit of account.
    Use the currency that is paid in.
zone_unknown medium
    The name is no IANA time zone.
    Use a name such as Europe/Paris.
allocation_impossible high
    An amount cannot be spread over what it should be spread over.
    Correct the weights or round the amount.
tax_rate_not_found high
    No tax rate is in force for jurisdiction, category and tax point.
    Publish the rate; the work heals by itself.
tax_rate_ambiguous high
    Two tax rates are in force for jurisdiction, category and tax point.
    End the older one; the work heals by itself.
document_empty medium
    A document would have no lines and nothing beside them.
    Nothing is to be billed; close the draft with that reason.
document_currency_mixed high
    A line, or what stands beside the lines, is in another currency than its document.
    Correct the contract; the account waits meanwhile.
amount_not_rounded high
    A document would hold an amount that is not in whole minor units.
    Correct the rule that made it; nothing was issued.
number_too_long high
    A document number would be longer than ERPs take.
    Shorten the prefix of the series.
issue_date_too_early medium
    The invoice date lies before that of the series' last number.
    Bill with a later date: `tallyline close ENTITY PERIOD --invoice-on DATE`.
total_negative high
    A document that must ask for money would give it.
    Issue a credit note instead.
period_not_ended high
    The billing period is not over.
    Wait for its end.
receipts_unaggregated high
    Usage that was received is not yet in its windows.
    Wait; if it lasts, look at the work of validate, enrich and aggregate.
events_do_not_add_up high
    Parsed events are not accepted, duplicate and refused ones together.
    Follow the source and hour that are named.
usage_does_not_add_up high
    Attributed usage is not billed, excluded, excepted and in flight together.
    Follow the source, metric and hour that are named.
work_open high
    Steps still owe work of the run.
    Wait; if it lasts, look at the work and its exceptions.
drafts_blocked high
    Drafts cannot be completed.
    Resolve the exceptions of the drafts that are named.
approval_missing medium
    Nobody has approved the run's drafts.
    Review the drafts and approve them.
accounts_parked high
    Money circuit breakers hold accounts of the run; the others are billed.
    Release each, or correct what is wrong with it; then the period's next run bills it.
postings_unconfirmed high
    Documents are on their way to the ERP and not confirmed.
    Wait; if it lasts, look at the attempts.
usage_in_flight high
    Usage of the period is neither billed, excluded nor in exception.
    Call `tallyline close` again: its next run bills what this one left out. What is still there, a step holds.
stage_out_of_order medium
    A billing run would skip a stage or go back.
    Take the next stage.
close_blocked high
    Entry conditions of a stage are not met.
    Resolve what is listed, or override it by name with a reason.
override_invalid medium
    The override names no open blocker, or one that cannot be overridden, or nobody.
    Name the code, the person and the reason.
account_parked high
    A money circuit breaker holds the account.
    Look at what changed, then release or correct it.
control_totals_differ high
    The totals of two hops do not agree.
    Follow the source, metric and hour that are named.
"""
