"""Who a command acts for, and how it has a deed done: at once, or as a request that somebody else grants."""

import getpass
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, cast

import typer

from domain.approvals import NO_MONEY, ApprovalClosed, needed
from domain.authority import ROLES, Acting, NotPermitted, roles_for
from queues.settings import settings
from workers.cli import console, reach
from workers.cli.console import AWAITS, USAGE, Failure
from workers.deeds.deed import Order
from workers.deeds.doing import Awaiting, Done, grant, submit
from workers.store import acting as names
from workers.store import people, policies
from workers.store.acting import Named
from workers.store.database import engine

#: Bytes of a token file that are read; a token has some fifty.
TOKEN_BYTES_MAX = 1_000

As = Annotated[
    str | None,
    typer.Option("--as", help="Act as this registered person; only without a fleet, where nobody has to prove it."),
]
Reason = Annotated[str | None, typer.Option(help="Why; kept with what is done and with the request.")]


def acting(person: str | None = None) -> Acting:
    """Whoever this command acts for. Raises `Failure`, `PersonUnknown` or `TokenInvalid`.

    A token names the person. Without one only an embedded run acts: for the person that is named, else for the user of
    this machine, who is registered with every role the first time. A deployment whose first person was made by
    `people bootstrap` is none, whatever the caller's environment says.
    """
    token = _token()
    with engine().begin() as conn:
        if token is not None:
            if person is not None:
                raise Failure("--as does not go with a token", fix="leave one of them out")
            return people.acting_with(conn, token)
        if reach.is_fleet() or people.is_bootstrapped(conn):
            fix = "set TALLYLINE_TOKEN or TALLYLINE_TOKEN_FILE; `tallyline people bootstrap` makes the first"
            raise Failure("a fleet has to know who acts, and no token is named", fix=fix)
        named = person or settings().person
        if named is None and not people.is_known(conn, local := local_user()):
            names.name(conn, Named("tallyline", "the user of the machine that this database is on"))
            people.register(conn, local, name=local, roles=ROLES, by="tallyline")
        return people.acting_as(conn, named or local_user())


def _token() -> str | None:
    chosen = settings()
    if chosen.token_file is not None:
        try:
            with chosen.token_file.open(encoding="utf-8") as file:
                return file.read(TOKEN_BYTES_MAX).strip()
        except (OSError, UnicodeDecodeError) as error:
            sentence = f"the token file {chosen.token_file} cannot be read: {type(error).__name__}"
            raise Failure(sentence, fix="correct TALLYLINE_TOKEN_FILE", code=USAGE) from None
    return None if chosen.token is None else chosen.token.get_secret_value().strip()


def local_user() -> str:
    """The user of this machine, spelled as people are."""
    spelled = re.sub(r"[^a-z0-9._@-]", "-", getpass.getuser().lower())[:64]
    return spelled if spelled[:1].isalnum() else f"u{spelled}"[:64]


def permitted(action: str, person: str | None = None) -> Acting:
    """Whoever this command acts for, who may do that. Raises `NotPermitted` and as `acting`."""
    who = acting(person)
    roles_for(who, action)
    return who


def alone(action: str, person: str | None = None) -> Acting:
    """As `permitted`, for a command that can ask nobody else: also `NotPermitted` if a policy wants a second person."""
    who = permitted(action, person)
    with engine().connect() as conn:
        rules = policies.in_force(conn, [action])
    if needed(who, [action], effect=NO_MONEY, policies=rules) is not None:
        sentence = f"a policy wants a second person for {action}, and this command can ask none"
        raise NotPermitted(sentence, action=action)
    return who


@dataclass(frozen=True, slots=True)
class Wish:
    """What a command wants done."""

    deed: str
    payload: Mapping[str, Any]
    reason: str
    attachment: bytes | None = None


def have_done(who: Acting, wish: Wish, *, as_json: bool) -> Done:
    """Have it done; ends the command with `AWAITS` if it waits for somebody else."""
    order = Order(who.person, console.checked_reason(wish.reason), wish.payload, wish.attachment)
    outcome = submit(who, wish.deed, order)
    if isinstance(outcome, Awaiting):
        tell_awaiting(outcome, as_json=as_json)
        raise typer.Exit(AWAITS)
    return outcome


def have_done_by_two(asker: Acting, decider: Acting, wish: Wish) -> Done:
    """Have it done for one person, and granted by the other where it has to be: for the demo, which plays both."""
    try:
        outcome = submit(asker, wish.deed, Order(asker.person, wish.reason, wish.payload, wish.attachment))
    except ApprovalClosed as asked:  # by a run before this one, which was killed before it was granted
        return grant(decider, cast("int", asked.facts["request"]))
    return grant(decider, outcome.request_id) if isinstance(outcome, Awaiting) else outcome


def tell_awaiting(outcome: Awaiting, *, as_json: bool) -> None:
    """Say that nothing has happened yet, and who has to do what."""
    if as_json:
        console.print_json(
            {"request": outcome.request_id, "decided_by": outcome.decided_by, "summary": outcome.plan.summary}
        )
        return
    out = console.out()
    out.print(console.plain(f"{outcome.plan.summary}: nothing is done yet"))
    out.print(
        f"request [bold]{outcome.request_id}[/] waits for somebody else with the role {outcome.decided_by}: "
        f"[bold]tallyline approve {outcome.request_id}[/]",
        soft_wrap=True,
    )
