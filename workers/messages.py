"""What other systems say of master data: read, held against who owns what, and published; what is refused is kept."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from domain.approvals import ApprovalClosed
from domain.authority import NotPermitted
from domain.canonical import canonical_json
from domain.errors import Rejection
from domain.ownership import (
    ChangeNotApproved,
    MasterUnusable,
    Message,
    ReferenceMissing,
    SystemUnknown,
    foreign,
    heed,
    not_owned,
)
from queues.settings import settings
from queues.work import Hintable
from workers.deeds.deed import Order
from workers.deeds.doing import Awaiting, submit
from workers.reading_messages import SECTIONS, read
from workers.step import is_passing, publish
from workers.store import (
    acting,
    audit,
    master,
    master_messages,
    master_systems,
    message_exceptions,
    people,
)
from workers.store.acting import Named
from workers.store.database import engine
from workers.store.master_file import Document, MasterInvalid
from workers.store.master_messages import Heard, Verdict
from workers.store.master_models import MasterData

log = structlog.get_logger(__name__)

#: Messages of one tick; the next takes the rest.
MESSAGES_MAX: Final = 200
#: Why a message is refused at which every look ended unexpectedly; not even reading it is tried once more.
POISON: Final = "poison"
#: SQLSTATE classes of values that the database does not take: what the message says is at fault.
_OF_DATA: Final = ("22", "23")
#: Those of a database that is not as it must be: rights, tables, disk, its own errors. No message is at fault.
_OF_SERVER: Final = ("25", "28", "3D", "42", "57", "58", "XX")
_IGNORED: Final = {
    "duplicate": Verdict("ignored", "it was heard before"),
    "older": Verdict("ignored", "a newer version of the object was applied before"),
    "own": Verdict("unchanged", "it is our own, come back"),
}


@dataclass(frozen=True, slots=True)
class _Wish:
    """A change that takes an approval, and in whose name it is asked for."""

    message: Message
    person: str


def tick() -> int:
    """Look at what came, and again at what waits for a decision or for something that was missing; how many."""
    with engine().connect() as conn:
        numbers = master_messages.pending(conn, rows=MESSAGES_MAX)
    for number in numbers:
        _attempt(number)
    return len(numbers)


def _attempt(number: int) -> None:
    """Look at one message; however that ends, the next one is looked at, unless the database is away.

    Each look is counted before it begins, so a message that kills its process is poison in the end, too.
    """
    with engine().begin() as conn:
        starts = master_messages.start(conn, number)
    try:
        if starts > settings().starts_max:
            sentence = f"looked at {starts - 1} times without an outcome; the log says what each one ended with"
            _settle_alone(number, Rejection(sentence, code=POISON))
        elif starts:
            hear(number)
    except Exception as error:  # one message keeps no other from being heard
        if not _is_outage(error):
            log.exception("message failed", message=number)
            return
        log.warning("message waits for an outage to end", message=number, reason=repr(error))
        with engine().begin() as conn:
            master_messages.forgive(conn, number)


def _is_outage(error: Exception) -> bool:
    """Whether what ended a look is a fault of the database, the disk or the network, which would end any look."""
    if is_passing(error) or isinstance(error, OSError):
        return True
    sqlstate = (getattr(error.orig, "sqlstate", None) or "") if isinstance(error, DBAPIError) else ""
    return sqlstate.startswith(_OF_SERVER)


def hear(number: int) -> None:
    """Apply one message, or keep why not; it is done once however often this is called."""
    try:
        with engine().begin() as conn:
            audit.hold(conn)
            heard = master_messages.claim(conn, number)
            if heard is None:
                return
            wish, hints = _decided(conn, heard)
    except DBAPIError as error:
        sqlstate = getattr(error.orig, "sqlstate", None) or ""
        if not sqlstate.startswith(_OF_DATA):
            raise
        _settle_alone(number, MasterUnusable(f"the database does not take it: {str(error.orig).splitlines()[0]}"))
        return
    if wish is not None:
        _ask(number, wish)
    publish(hints)


def _decided(conn: Connection, heard: Heard) -> tuple[_Wish | None, Sequence[Hintable]]:
    message: Message | None = None
    try:
        if heard.state == "waiting":
            message = read(heard.delivery)
            _settle_request(conn, heard, message)
            return None, ()
        message = read(heard.delivery)
        digest = sha256(canonical_json([message.kind, message.object, dict(message.data)]).encode()).digest()
        master_messages.read_as(conn, heard.id, message, hash=digest)
        return _heeded(conn, heard, message, digest)
    except Rejection as rejection:
        _refuse(conn, heard, message, rejection)
        return None, ()


def _heeded(conn: Connection, heard: Heard, message: Message, digest: bytes) -> tuple[_Wish | None, Sequence[Hintable]]:
    _name(conn, message)
    may_speak, person = master_systems.person_of(conn, message.system, heard.delivery.properties.get("user_id"))
    if not may_speak:
        sentence = f"{message.system} is not registered, or its broker user may not speak for it"
        raise SystemUnknown(sentence, field="source")
    verdict = heed(message, hash=digest, known=master_messages.known(conn, message, number=heard.id))
    if verdict != "yes":
        master_messages.settle(conn, heard.id, _IGNORED[verdict])
        return None, ()
    _require_owned(conn, message)
    if "versions" in message.data or ("phases" in message.data and _reprices(conn, message)):
        if person is None:
            raise NotPermitted(f"{message.system} has nobody in whose name it could ask for prices", field="versions")
        return _Wish(message, person), ()
    with _of_master(message), conn.begin_nested():
        tally, hints = master.publish(conn, *_document(message, message.data), person=_person(message))
    _applied(conn, heard.id, message, Verdict("unchanged" if tally.is_unchanged else "applied"))
    return None, hints


def _require_owned(conn: Connection, message: Message) -> None:
    """Raise `FieldNotOwned` if what the message says of fields that are not its system's would change anything."""
    owners = master_systems.owners(conn, message.kind)
    other = foreign(message, owners)
    if other and _changes(conn, message, other):
        fields = [name for name, value in other.items() if _changes(conn, message, {name: value})]
        raise not_owned(message, fields or list(other), owners)


def _changes(conn: Connection, message: Message, part: Mapping[str, Any]) -> bool:
    """Whether publishing that part of what the message says would change anything; it is undone."""
    attempt = conn.begin_nested()
    try:
        tally, _ = master.publish(conn, *_document(message, part), person=_person(message), is_look=True)
    except MasterInvalid:
        return True
    finally:
        attempt.rollback()
    return not tally.is_unchanged


def _reprices(conn: Connection, message: Message) -> bool:
    """Whether what a message says of phases changes prices, named or not; what finds out is undone."""
    attempt = conn.begin_nested()
    try:
        with _of_master(message):
            tally, _ = master.publish(conn, *_document(message, message.data), person=_person(message), is_look=True)
    finally:
        attempt.rollback()
    return "contract_versions" in {*tally.new, *tally.changed}


def _document(message: Message, data: Mapping[str, Any]) -> tuple[Document, MasterData]:
    section = SECTIONS[message.kind]
    values = {section: [dict(data)] if message.kind == "mapping" else {message.object: dict(data)}}
    document = Document(Path(f"{message.system} {message.id}"), values, {})
    return document, master.validated(document, MasterData)


@contextmanager
def _of_master(message: Message) -> Iterator[None]:
    """Raise what is wrong with the data as a rejection of the message."""
    try:
        yield
    except MasterInvalid as error:
        sentence = "; ".join(f"{each.field}: {each.sentence}" for each in error.problems)
        kind = ReferenceMissing if all(each.is_missing for each in error.problems) else MasterUnusable
        raise kind(sentence, field=error.problems[0].field, object=message.object) from None


def _person(message: Message) -> str:
    return f"system/{message.system}"


def _name(conn: Connection, message: Message) -> None:
    acting.name(conn, Named(_person(message), f"message {message.id} version {message.version}"))


def _applied(conn: Connection, number: int, message: Message, verdict: Verdict) -> None:
    master_messages.settle(conn, number, verdict)
    overtaken = master_messages.overtake(conn, message, number=number)
    message_exceptions.resolve(conn, overtaken, reason=f"version {message.version} is {verdict.state}")


def _refuse(conn: Connection, heard: Heard, message: Message | None, rejection: Rejection) -> None:
    """Keep why, as an exception; one that misses the same as before only notes how far master data had come."""
    verdict = Verdict("refused", rejection.sentence, code=rejection.code)
    if message is None:
        acting.name(conn, Named("tallyline", "a message that cannot be read"))
    else:
        _name(conn, message)
    if heard.code != rejection.code:
        message_exceptions.open_(conn, heard, message, rejection)
        message_exceptions.tell(conn, heard, message, rejection)
    master_messages.settle(conn, heard.id, verdict)


def _settle_alone(number: int, rejection: Rejection) -> None:
    """Keep a refusal after the transaction that tried it is gone."""
    with engine().begin() as conn:
        audit.hold(conn)
        heard = master_messages.claim(conn, number)
        if heard is not None:
            _refuse(conn, heard, None if rejection.code == POISON else read(heard.delivery), rejection)


def _ask(number: int, wish: _Wish) -> None:
    """Have the prices published in the system's name, or wait for whoever has to approve it."""
    message = wish.message
    try:
        with _of_master(message):
            verdict, hints = _submitted(wish)
    except Rejection as rejection:
        _settle_alone(number, rejection)
        return
    with engine().begin() as conn:
        audit.hold(conn)
        _name(conn, message)
        _applied(conn, number, message, verdict)
    publish(hints)


def _submitted(wish: _Wish) -> tuple[Verdict, Sequence[Hintable]]:
    message = wish.message
    content = canonical_json(_document(message, message.data)[0].values).encode()
    payload = {"file": f"{message.system} {message.id}", "sha256": sha256(content).hexdigest()}
    reason = f"message {message.id} version {message.version} of {message.system}"
    with engine().connect() as conn:
        who = people.acting_as(conn, wish.person)
    try:
        outcome = submit(who, "master.publish", Order(wish.person, reason, payload, content))
    except ApprovalClosed as asked:  # before a crash that came between asking and keeping that it was asked
        return Verdict("waiting", asked.sentence, request_id=int(str(asked.facts["request"]))), ()
    if isinstance(outcome, Awaiting):
        return Verdict("waiting", "it waits for an approval", request_id=outcome.request_id), ()
    return Verdict("applied"), outcome.carried.hints


def _settle_request(conn: Connection, heard: Heard, message: Message) -> None:
    """What somebody decided about a request becomes what became of the message. Raises `ChangeNotApproved`."""
    _name(conn, message)
    if heard.request_state == "granted":
        _applied(conn, heard.id, message, Verdict("applied", f"request {heard.request_id} was granted"))
    elif heard.request_state != "open":
        sentence = f"request {heard.request_id} is {heard.request_state}"
        raise ChangeNotApproved(sentence, request=heard.request_id, object=message.object)
