"""What the statement of enrich keeps of an event `p` under a metric `m`: the text that `domain.metrics` would keep.

One expression for all aggregations, so a new one that keeps what another keeps needs no change here; a test holds each
to the contribution that the domain makes of the same event.
"""

from domain.canonical import KEY_TEXT_BYTES_MAX
from domain.metrics.register import MARK
from domain.metrics.unique_count import ADD, REMOVE, SIGNS

#: As `domain.canonical.key_text`: what no index can hold would keep its whole batch from being aggregated, for ever.
KEY_TEXT = (
    f"case when octet_length({{0}}) <= {KEY_TEXT_BYTES_MAX} then {{0}} "
    "else 'sha256-' || encode(sha256(convert_to({0}, 'UTF8')), 'hex') end"
)
#: The instant to the microsecond, and a number without trailing zeros.
_INSTANT = """to_char(p.happened_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
_NUMBER = "trim_scale((p.data ->> {0})::numeric)::text"
_OF_PROPERTY = _NUMBER.format("m.property")
_KEY_OF_PROPERTY = KEY_TEXT.format("p.data ->> m.property")
_KEY_OF_NAME = KEY_TEXT.format("p.data ->> (m.options ->> 'by')")
_SIGN = f"case p.data ->> m.operation when '{REMOVE}' then '{SIGNS[REMOVE]}' else '{SIGNS[ADD]}' end"

_MARK = f"case when p.data ->> m.reset = 'true' then ' {MARK}' else '' end"

#: Nothing of count and sum; what is missing makes it null.
VALUE = f"""case when m.aggregation = 'count' then null
      when m.aggregation = 'sum' then case when m.is_prorated then {_INSTANT} || ' ' || {_OF_PROPERTY} end
      when m.aggregation = 'unique_count' then case when m.operation is null and not m.is_prorated
        then {_KEY_OF_PROPERTY}
        else {_INSTANT} || ' ' || {_SIGN} || ' ' || {_KEY_OF_PROPERTY} end
      when m.aggregation in ('min', 'max', 'average', 'percentile') then {_OF_PROPERTY}
      when m.aggregation in ('latest', 'weighted_sum', 'each') then {_INSTANT} || ' ' || {_OF_PROPERTY}
      when m.aggregation = 'register' then {_INSTANT} || ' ' || {_OF_PROPERTY} || {_MARK}
      when m.aggregation = 'charged' then {_OF_PROPERTY} || ' ' || {_NUMBER.format("(m.options ->> 'amount')")}
      when m.aggregation = 'peaks' then {_OF_PROPERTY} || ' ' || {_KEY_OF_NAME} end"""
#: What sum adds; of all others, and where days count, an event counts as one.
QUANTITY = "case when m.aggregation = 'sum' and not m.is_prorated then (p.data ->> m.property)::numeric else 1 end"
#: Whether the metric's filter allows all values; a property that is absent has none.
TAKES = """(not m.is_filtered or not exists (select from jsonb_each(m.options -> 'filter') f
      where (f.value ? (p.data ->> f.key)) is not true))"""
#: Whether what is there is no contribution; that numbers are numbers is certain since the event was accepted.
IS_INVALID = f"""((m.operation is not null and p.data ->> m.operation not in ('{ADD}', '{REMOVE}'))
      or (m.reset is not null and p.data ->> m.reset not in ('true', 'false')))"""
