"""The codes that stand between a person and an act; three lines each, as in `code_table.py`."""

from typing import Final

#: What stands between a person and an act.
OF_AUTHORITY: Final = """
not_permitted medium
    The person's roles, or the scopes of the token, do not allow the action.
    Ask somebody who has the role, or have it given to you.
person_unknown medium
    Nobody of that name is registered, or the person is disabled.
    Name a registered person, or register this one: `tallyline people add`.
token_invalid high
    The token is not one of ours, is revoked, or has expired.
    Have a new one made: `tallyline people token`.
policy_missing high
    No policy says whether the act needs a second person, so it does not happen.
    Publish a policy for the action: `tallyline policies set`.
policy_invalid medium
    A policy names a limit without needing one, or needs one and names none.
    Correct what is named.
approval_forbidden high
    Who decides a request is who asked for it, or has not the role that its policy names.
    Have somebody else with that role decide.
approval_closed medium
    There is no such request, or it is decided, withdrawn or expired.
    `tallyline approve --state all` lists them; ask for it again if it is still wanted.
approval_stale medium
    What was asked for would do more now than was seen, or is no longer possible.
    Look at what changed, and ask for it again.
replay_empty low
    Nothing that is open fits what was selected, or nothing in it can be replayed, dismissed or written off.
    List what is open with `tallyline exceptions list`, and select that.
replay_too_large medium
    More was selected than one replay holds.
    Select less: by account, source, period or age; then replay the rest.
replay_busy low
    The live line holds what a forecast has to look at, or usage came while it looked.
    Ask again in a moment, or select less.
replay_out_of_order medium
    The replay is not in a state from which that is possible.
    Look at it with `tallyline replay show`.
edit_invalid medium
    An edit would make another event of it, or not give what the metric counts.
    Change only what is wrong; source and id stay, and an event that was accepted keeps all but its data.
"""
