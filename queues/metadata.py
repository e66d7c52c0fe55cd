"""The one table register; `queues/` and `workers/store/` define their tables on it."""

from sqlalchemy import MetaData

metadata = MetaData()
