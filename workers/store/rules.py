"""Exclusion rules as SQL: data in the table, one CASE in the statement, every value a parameter."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

#: A comparison of numbers; what is no number passes none, and never breaks the statement for its neighbours.
_NUMBER = (
    "case when p.data ->> {{p}} ~ '^-?[0-9]+([.][0-9]+)?$'"
    " then (p.data ->> {{p}})::numeric {0} ({{v}})::numeric else false end"
)
#: How an operator of a condition reads in SQL; `{p}` is the property and `{v}` the value, both parameters. Each says
#: what `domain.enrichment.Condition.holds` says, which a test holds it to.
OPERATORS: Mapping[str, str] = {
    "is_null": "p.data ->> {p} is null",
    "is_not_null": "p.data ->> {p} is not null",
    "equals": "p.data ->> {p} = {v}",
    "not_equals": "p.data ->> {p} <> {v}",
    "in": "p.data ->> {p} = any({v})",
    "less": _NUMBER.format("<"),
    "at_most": _NUMBER.format("<="),
    "greater": _NUMBER.format(">"),
    "at_least": _NUMBER.format(">="),
}


def sql_of_rules(conn: Connection) -> tuple[str, dict[str, Any]]:
    """An SQL expression for the id of the first rule that excludes a usage, or null, and its parameters.

    The alias `p` is the event and `m` the metric, as in the statement that the expression is put into.
    """
    rules = conn.execute(
        text("select id, meter_id, metric_id, conditions, starts_at, ends_at from exclusion_rules order by id")
    ).all()
    values: dict[str, Any] = {}
    arms = [_arm(rule, values) for rule in rules]
    return ("case " + " ".join(arms) + " end") if arms else "cast(null as integer)", values


def _arm(rule: Row[Any], values: dict[str, Any]) -> str:
    name = f"r{rule.id}"
    values |= {
        f"{name}_meter": rule.meter_id,
        f"{name}_starts": rule.starts_at,
        f"{name}_ends": rule.ends_at,
        name: rule.id,
    }
    tests = [f"p.meter_id = :{name}_meter", f"p.happened_at >= :{name}_starts", f"p.happened_at < :{name}_ends"]
    if rule.metric_id is not None:
        values[f"{name}_metric"] = rule.metric_id
        tests.append(f"m.id = :{name}_metric")
    tests += _tests(name, rule.conditions, values)
    return f"when {' and '.join(tests)} then cast(:{name} as integer)"


def _tests(name: str, conditions: Sequence[Mapping[str, Any]], values: dict[str, Any]) -> list[str]:
    tests = []
    for number, condition in enumerate(conditions):
        prop, value = f"{name}_p{number}", f"{name}_v{number}"
        values[prop] = condition["property"]
        test = OPERATORS[condition["op"]]
        if "{v}" in test:
            values[value] = condition["value"]
        kind = "text[]" if condition["op"] == "in" else "text"
        tests.append(test.format(p=f"cast(:{prop} as text)", v=f"cast(:{value} as {kind})"))
    return tests
