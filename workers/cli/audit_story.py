"""An entry of the audit log as one sentence: who did what to what."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from workers.deeds.nouns import noun_of
from workers.store.audit import Recorded

#: What a person did to a row, where nothing better is known of its table.
_VERBS: Final = {"insert": "added", "update": "changed", "delete": "removed"}
#: Of a new row: what only the database reads, and who and when, which the sentence and its line say.
_SAYS_NOTHING: Final = frozenset({"id", "person", "reason"})
_SAY_NOTHING: Final = ("_at", "_by", "_id", "sha256")
#: Texts of instants that stand for no beginning and no end.
_EVER: Final = ("0001-01-01", "9999-12-31")
#: Characters of a change that a sentence holds.
CHANGE_SHOWN_MAX: Final = 400


def story(each: Recorded) -> str:
    """The entry as a sentence; what is not known here is told by the name of its action and its members."""
    told = _TOLD.get(each.action)
    words = told(each) if told else None
    return f"{each.person} {words or _plain(each)}"


def _plain(each: Recorded) -> str:
    table, _, act = each.action.rpartition(".")
    what = f"{_VERBS[act]} {noun_of(table)} {each.subject}" if act in _VERBS else f"{each.action}: {each.subject}"
    change = change_of(each)
    return f"{what} ({change})" if change else what


def change_of(each: Recorded) -> str:
    """What is now, beside what was where that is known: `ends_at: a -> b`."""
    before, after = each.before or {}, _told(each.after or {}, is_new=not each.before)
    parts = []
    for name in sorted({*before, *after}, key=lambda name: (name not in after, name)):
        if name not in before or before.get(name) != after.get(name):
            was = f"{_value(before[name])} -> " if name in before else ""
            parts.append(f"{name}: {was}{_value(after[name]) if name in after else 'gone'}")
    words = ", ".join(parts)
    return words if len(words) <= CHANGE_SHOWN_MAX else words[:CHANGE_SHOWN_MAX] + " ..."


def _value(value: object) -> str:
    if value is None:
        return "nothing"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value}"


def _told(after: Mapping[str, Any], *, is_new: bool) -> Mapping[str, Any]:
    """The members that say something: of a new row not its key, nor that it has no end and no beginning."""
    if not is_new:
        return after
    return {
        name: value
        for name, value in after.items()
        if name not in _SAYS_NOTHING
        and not name.endswith(_SAY_NOTHING)
        and value not in (None, "", [], {}, False)
        and not str(value).startswith(_EVER)
    }


def _run_changed(each: Recorded) -> str | None:
    after = each.after or {}
    if after.get("approved_by"):
        return f"approved the drafts of {each.subject}"
    return f"took back the approval of {each.subject}" if "approved_by" in after else None


def _let_pass(each: Recorded) -> str:
    after = each.after or {}
    return f"let {after.get('exceptions')} {after.get('code')} of run {after.get('billing_run_id')} pass"


def _asked(each: Recorded) -> str:
    return f"asked for a second person ({each.subject}): {(each.after or {}).get('summary')}"


def _request_changed(each: Recorded) -> str | None:
    after = each.after or {}
    was = {"granted": "was granted and carried out", "refused": "was refused", "withdrawn": "was withdrawn"}
    state = str(after.get("state"))
    return f"ended {each.subject}: it {was.get(state, f'is {state}')}" if "state" in after else None


def _decided(each: Recorded) -> str:
    after = each.after or {}
    return f"{after.get('verdict')} {each.subject} of {after.get('requested_by')}"


def _role_given(each: Recorded) -> str:
    after = each.after or {}
    return f"gave {after.get('person_id')} the role {after.get('role')}"


def _role_taken(each: Recorded) -> str | None:
    if not (each.after or {}).get("revoked_at"):
        return None
    person, _, role = each.subject.partition("/")
    return f"took the role {role} from {person}"


def _token_made(each: Recorded) -> str:
    after = each.after or {}
    return f"made a token of {after.get('person_id')} with the scopes {', '.join(after.get('scopes') or ())}"


def _token_changed(each: Recorded) -> str | None:
    return f"revoked the token {each.subject}" if (each.after or {}).get("revoked_at") else None


def _registered(each: Recorded) -> str:
    return f"registered {each.subject}, called {(each.after or {}).get('name')}"


def _may_send(each: Recorded) -> str:
    source, _, user = each.subject.rpartition(" ")
    return f"let the broker user {user} send as {source}"


def _replay(each: Recorded) -> str:
    act = each.action.rpartition(".")[2].replace("_", " ")
    number = (each.after or {}).get("exceptions")
    return f"started to {act} {number} exceptions ({each.subject})"


def _reopened(each: Recorded) -> str:
    return f"reopened {each.subject}, which had been decided"


def _used(each: Recorded) -> str:
    amounts = ", ".join(f"{code} {amount}" for code, amount in sorted(((each.after or {}).get("effect") or {}).items()))
    return f"moved {amounts} alone, under the limit of a policy: {each.subject}"


_TOLD: Final[Mapping[str, Callable[[Recorded], str | None]]] = {
    "billing_runs.request": lambda each: f"asked for {each.subject}",
    "billing_runs.update": _run_changed,
    "billing_overrides.insert": _let_pass,
    "approval_requests.insert": _asked,
    "approval_requests.update": _request_changed,
    "approval_decisions.insert": _decided,
    "person_roles.insert": _role_given,
    "person_roles.update": _role_taken,
    "api_tokens.insert": _token_made,
    "api_tokens.update": _token_changed,
    "people.insert": _registered,
    "source_users.insert": _may_send,
    "exceptions.reopen": _reopened,
    "limits.use": _used,
    **{f"replays.{act}": _replay for act in ("replay", "edit", "dismiss", "write_off")},
}
