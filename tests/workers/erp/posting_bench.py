"""What tests of posting look at and move along: rows, keys, calls and time."""

from datetime import date

from queues import gate as gates

JANUARY = date(2013, 1, 31)


SUBJECT = "erp_posting/{}"


def ready(books):
    return [row.id for row in books.rows("select id from work where step = 'post' and state = 'ready' order by id")]


def let_time_pass(books):
    """As if every lease had run out, every quiet time were over and every due time had come."""
    books.run("update work set due_at = now(), lease_until = null where state = 'ready'")
    books.run("update erp_postings set lease_until = now() - interval '1 s' where lease_until is not null")
    gates.gate.cache_clear()


def key_of(books, posting):
    return books.one("select external_key from erp_postings where id = :id", id=posting)


def calls(books, posting):
    return [
        (row.call, row.outcome)
        for row in books.rows(
            "select call, outcome from erp_attempts where erp_posting_id = :id order by id", id=posting
        )
    ]


def replay(books, posting):
    books.run("update work set state = 'ready', due_at = now() where subject = :s", s=SUBJECT.format(posting))


CONFIRMED = ("confirmed", "posted", "done")
