"""What ledger.md section 5 settles: work that decides by slowly changing data never races with its change."""

from sqlalchemy import text
from usage_line import event

from workers import step
from workers.store import audit, fence, recompute
from workers.store.database import snapshot


def test_usage_enriched_while_its_mapping_is_published_does_not_stay_parked(line):
    line.receive(event("e1", subject="k7"))
    line.run("validate")
    (waiting,) = line.ready("enrich")

    with line.uncommitted("enrich", waiting):
        publisher = line.blocked(lambda: line.publish_mappings("k7"))
    publisher.join()
    line.run()

    assert line.quantities("k7")["calls"] == 1
    assert line.codes() == []
    assert line.differences() == []


def test_enrich_waits_for_a_mapping_that_is_being_published(line):
    line.receive(event("e1", subject="k7"))
    line.run("validate")
    (waiting,) = line.ready("enrich")

    with line.engine.begin() as conn:
        audit.hold(conn)
        fence.take(conn)
        line.insert_mappings(conn, ["k7"])
        enrich = line.blocked(lambda: step.perform("enrich", [waiting]))
    enrich.join()
    line.run()

    assert line.quantities("k7")["calls"] == 1
    assert line.value("select count(*) from exceptions") == 0


def seal(line):
    """Seal the open lot of every period, as a freeze does."""
    with line.engine.begin() as conn:
        fence.take(conn)
        conn.execute(
            text("""insert into lots (billing_period_id, lot, sealed_no)
                 select id, lot, (select coalesce(max(aggregated_no), 0) from batches) from billing_periods""")
        )
        conn.execute(text("update billing_periods set lot = lot + 1"))


def lots(line):
    return line.rows("select distinct lot, events from aggregates order by 1")


def test_a_batch_that_is_being_aggregated_is_in_the_lot_that_is_sealed_meanwhile(line):
    line.receive(event("e1"))
    line.run("validate", "enrich")
    (batch,) = line.ready("aggregate")

    with line.uncommitted("aggregate", batch):
        sealing = line.blocked(lambda: seal(line))
    sealing.join()
    line.receive(event("e2"))
    line.run()

    assert lots(line) == [(1, 1), (2, 1)]
    assert line.value("select sealed_no from lots") == line.value("select min(aggregated_no) from batches")


def test_a_sealed_lot_equals_its_recompute_for_ever(line):
    line.receive(event("e1"), event("e2"))
    line.receive(event("e3"))
    line.run("validate", "enrich")
    early, late = line.ready("aggregate")

    step.perform("aggregate", [late])
    seal(line)
    step.perform("aggregate", [early])
    line.receive(event("e4"))
    line.run()

    assert lots(line) == [(1, 1), (2, 3)]
    with snapshot() as conn:
        assert recompute.drifts(conn) == []


def test_aggregate_waits_while_a_lot_is_sealed_and_lands_in_the_next(line):
    line.receive(event("e1"))
    line.run()
    line.receive(event("e2"))
    line.run("validate", "enrich")
    (batch,) = line.ready("aggregate")

    with line.engine.begin() as conn:
        fence.take(conn)
        aggregate = line.blocked(lambda: step.perform("aggregate", [batch]))
        conn.execute(text("insert into lots select id, lot, 1 from billing_periods"))
        conn.execute(text("update billing_periods set lot = lot + 1"))
    aggregate.join()

    assert lots(line) == [(1, 1), (2, 1)]
