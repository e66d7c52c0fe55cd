"""Other systems that say what master data are, as their messages arrive."""

import json

from operator_bench import Operator
from parties_bench import Loader

from queues.contracts import STRUCTURED, Delivery
from workers import messages
from workers.store import master_messages
from workers.store.database import engine

SYSTEMS = """
systems:
  crm:
    owner: sales
    users: [crm-sync]
    fields:
      account: [name, parent]
      contract: [account, legal_entity, currency]
      subscription: [contract, cycle, from, to]
  shop:
    owner: product
    users: [shop-sync]
    fields:
      product: [name]
      mapping: [source, subject, subscription]
      subscription: [quantities]
"""


class Others:
    """Other systems, and what becomes of what they say."""

    def __init__(self, load: Loader) -> None:
        self.load = load
        self.operator: Operator = load.operator

    def receive(self, body: bytes, *, user: str | None = "crm-sync", content_type: str = STRUCTURED) -> None:
        """Keep a body as intake does."""
        with engine().begin() as conn:
            master_messages.store(conn, [Delivery(body, {"content_type": content_type, "user_id": user})])

    def say(self, kind, data, *, version=1, system="crm", **changes):
        """A message, stored and looked at; its state, code and sentence."""
        event = {
            "specversion": "1.0", "id": f"{system}-{version}", "source": system, "version": version,
            "type": f"tallyline.master.{kind}.v1", "data": data, **changes,
        }  # fmt: skip
        event = {name: value for name, value in event.items() if value is not ...}
        self.receive(json.dumps(event).encode(), user=changes.pop("user", f"{system}-sync"))
        messages.tick()
        return self.last()

    def last(self):
        return self.of("id = (select max(id) from master_messages)")

    def of(self, which):
        ((state, code, sentence),) = self.operator.rows(
            f"select state, code, sentence from master_messages where {which}"
        )
        return state, code, sentence or ""

    def exceptions(self, state="open"):
        return self.operator.rows(
            """select code, source, event_id, subject from exceptions
               where step = 'master' and state = :state order by id""",
            state=state,
        )
