"""`tallyline people`: who is registered, in which roles, and the tokens of their programs."""

import secrets
from dataclasses import asdict
from typing import Annotated

import typer

from domain.authority import ACTIONS, ROLES, is_scope, require_no_wider, roles_for
from workers.cli import console, reach
from workers.cli.acting import As, Reason, Wish, acting, have_done, tell_awaiting
from workers.cli.console import AWAITS, AsJson, Failure
from workers.deeds.deed import Order
from workers.deeds.doing import Awaiting, submit
from workers.store import acting as names
from workers.store import audit
from workers.store import people as store
from workers.store.acting import Named
from workers.store.database import engine, snapshot
from workers.store.people import TOKEN_PREFIX, KeptToken, token_hash

#: Bytes of a token's secret part: 256 bits.
SECRET_BYTES = 32
#: Characters of a label.
LABEL_MAX = 200
#: Scopes of one token.
SCOPES_MAX = 50

Who = Annotated[str, typer.Argument(help="Short name: small letters, digits and . _ @ -", metavar="PERSON")]
Roles = Annotated[list[str], typer.Option("--role", help=f"{', '.join(ROLES)}; may be repeated.")]

app = typer.Typer(help="Show and register people, their roles and their tokens.", no_args_is_help=True)


@app.command("list")
@console.command
def list_(as_json: AsJson = False) -> None:
    """List everybody with the roles held now.

    Example: tallyline people list
    """
    with reach.database(), snapshot() as conn:
        rows = store.people(conn)
    if as_json:
        console.print_json([asdict(row) for row in rows])
        return
    shown = [[row.id, row.name, ", ".join(row.roles), "disabled" if row.is_disabled else ""] for row in rows]
    console.out().print(console.table("People", ["person", "name", "roles", ""], shown))


@app.command("actions")
@console.command
def actions(as_json: AsJson = False) -> None:
    """List what can be done, and in which roles.

    Example: tallyline people actions
    """
    if as_json:
        console.print_json(
            [{"action": each.name, "roles": sorted(each.roles), "meaning": each.meaning} for each in ACTIONS.values()]
        )
        return
    rows = [
        [each.name, ", ".join(role for role in ROLES if role in each.roles), each.meaning] for each in ACTIONS.values()
    ]
    console.out().print(console.table("Actions", ["action", "roles", "to do what"], rows))


@app.command("add")
@console.command
def add(
    person: Who,
    role: Roles,
    name: Annotated[str | None, typer.Option(help="The name that people know; the short one unless given.")] = None,
    reason: Reason = None,
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Register a person, or give one more roles.

    Example: tallyline people add bob --name "Bob Meyer" --role finance
    """
    _require_fit(person, name)
    _require_roles(role)
    wish = Wish("people.register", {"person": person, "name": name or person, "roles": role}, reason or "registered")
    with reach.database():
        done = have_done(acting(as_), wish, as_json=as_json)
    _tell(person, f"done: {done.plan.summary}{'' if done.carried.facts['is_changed'] else ': was so already'}", as_json)


@app.command("revoke")
@console.command
def revoke(person: Who, role: Roles, reason: Reason = None, as_: As = None, as_json: AsJson = False) -> None:
    """Take roles from a person.

    Example: tallyline people revoke bob --role finance --reason "moved to sales"
    """
    _require_roles(role)
    wish = Wish("people.revoke", {"person": person, "roles": role}, reason or "revoked")
    with reach.database():
        done = have_done(acting(as_), wish, as_json=as_json)
    if not done.carried.facts["revoked"]:
        raise Failure(f"{person} held none of these roles", fix="`tallyline people list` shows who holds which")
    _tell(person, f"done: {done.plan.summary}", as_json)


@app.command("disable")
@console.command
def disable(person: Who, reason: Reason = None, as_: As = None, as_json: AsJson = False) -> None:
    """Let a person act no more, and revoke all tokens.

    Example: tallyline people disable bob --reason "left the company"
    """
    wish = Wish("people.disable", {"person": person}, reason or "disabled")
    with reach.database():
        done = have_done(acting(as_), wish, as_json=as_json)
    if not done.carried.facts["is_changed"]:
        raise Failure(f"{person} is not registered, or disabled already", fix="`tallyline people list` shows everybody")
    _tell(person, f"done: {done.plan.summary}", as_json)


@app.command("bootstrap")
@console.command
def bootstrap(person: Who, as_json: AsJson = False) -> None:
    """Register the first person with the role admin, and show a token once; only while nobody is registered.

    Example: tallyline people bootstrap ann
    """
    _require_fit(person, None)
    secret = _secret()
    with reach.database(), engine().begin() as conn:
        audit.hold(conn)  # of two who come first at once one is the second
        if store.is_anybody(conn):
            raise Failure("somebody is registered already", fix="an admin adds others: `tallyline people add`")
        names.name(conn, Named("tallyline", "the first person of this deployment"))
        store.register(conn, person, name=person, roles=["admin"], by="tallyline")
        store.add_token(conn, KeptToken(person, token_hash(secret), ("*",), 30, "bootstrap"), by="tallyline")
    _tell_secret(person, secret, as_json=as_json)


@app.command("token")
@console.command
def token(
    person: Who,
    scope: Annotated[list[str], typer.Option(help="An action, such as replay.technical, or read.*, or * for all.")],
    days: Annotated[int, typer.Option(min=1, max=366, help="How long it opens anything.")] = 90,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Make a token for a person and show it once; only its hash is kept.

    It never opens more than the person's roles do at the time it is used, nor more than the token that made it. One for
    somebody else may need a second person, and opens nothing until then. Example:
    tallyline people token bob --scope 'read.*' --scope replay.technical --days 30
    """
    wrong = [each for each in scope if not is_scope(each)]
    if wrong or len(scope) > SCOPES_MAX:
        raise Failure(f"{wrong[0] if wrong else len(scope)} is no scope", fix="`tallyline people actions` lists them")
    secret = _secret()
    with reach.database():
        who = acting(as_)
        require_no_wider(who, scope)
        label = label[:LABEL_MAX]
        kept = {"person": person, "hash": token_hash(secret).hex(), "scopes": scope, "days": days, "label": label}
        outcome = submit(who, "people.token", Order(who.person, label or "token made", kept))
    awaiting = outcome if isinstance(outcome, Awaiting) else None
    _tell_secret(person, secret, as_json=as_json, request=awaiting.request_id if awaiting else None)
    if awaiting is not None:
        if not as_json:
            tell_awaiting(awaiting, as_json=False)
        raise typer.Exit(AWAITS)


@app.command("tokens")
@console.command
def tokens(person: Annotated[str | None, typer.Argument()] = None, as_json: AsJson = False) -> None:
    """List tokens, never the secrets themselves.

    Example: tallyline people tokens bob
    """
    with reach.database(), snapshot() as conn:
        rows = store.tokens(conn, person)
    if as_json:
        console.print_json([asdict(row) for row in rows])
        return
    shown = [
        [row.id, row.person, row.label, " ".join(row.scopes), f"{row.expires_at:%Y-%m-%d}",
         "never" if row.used_at is None else f"{row.used_at:%Y-%m-%d %H:%M}", "revoked" if row.is_revoked else ""]
        for row in rows
    ]  # fmt: skip
    columns = ["token#", "person", "label", "scopes", "expires", "used", ""]
    console.out().print(console.table("Tokens", columns, shown))


@app.command("revoke-token")
@console.command
def revoke_token(
    number: Annotated[int, typer.Argument(help="The token's number in `tallyline people tokens`.")],
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Let a token open nothing any more.

    Example: tallyline people revoke-token 4
    """
    with reach.database():
        who = acting(as_)
        with engine().begin() as conn:
            mine = [each for each in store.tokens(conn) if each.id == number]
            if not mine or mine[0].person != who.person:
                roles_for(who, "people.change")
            names.name(conn, Named(who.person, "token revoked", token_id=who.token_id))
            is_changed = store.revoke_token(conn, number, by=who.person)
    if not is_changed:
        raise Failure(f"there is no token {number} in force", fix="`tallyline people tokens` lists them")
    _tell(str(number), f"token {number} is revoked", as_json)


def _require_fit(person: str, name: str | None) -> None:
    from re import fullmatch

    if not fullmatch(r"[a-z0-9][a-z0-9._@-]{0,63}", person) or not 1 <= len(name or person) <= 200:  # noqa: PLR2004
        raise Failure(f"{person!r} is no short name", fix="use small letters, digits and . _ @ -, at most 64")


def _require_roles(roles: list[str]) -> None:
    wrong = sorted(set(roles) - set(ROLES))
    if wrong:
        raise Failure(f"{wrong[0]!r} is no role", fix=f"name one of {', '.join(ROLES)}")


def _secret() -> str:
    return TOKEN_PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def _tell(subject: str, sentence: str, as_json: bool) -> None:
    if as_json:
        console.print_json({"subject": subject, "says": sentence})
    else:
        console.out().print(console.plain(sentence))


def _tell_secret(person: str, secret: str, *, as_json: bool, request: int | None = None) -> None:
    if as_json:
        console.print_json({"person": person, "token": secret} | ({"request": request} if request else {}))
        return
    out = console.out()
    out.print(f"a token of {person}, shown this once: [bold]{secret}[/]", soft_wrap=True)
    out.print("use it as TALLYLINE_TOKEN, or keep it in a file and name that in TALLYLINE_TOKEN_FILE")
