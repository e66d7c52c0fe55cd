"""The stack's PostgreSQL: the launcher of the embedded run, on data that is thrown away."""

import os
import signal
from collections.abc import Mapping

from infra.stack.household import Household
from workers.embedded import binaries, cluster
from workers.embedded.supervised import Supervised


class Postgres:
    """A PostgreSQL on a port of its own; `options` are server settings that win over ours."""

    name = "postgres"

    def __init__(self, household: Household, options: Mapping[str, str]) -> None:
        self._household = household
        self._options = options
        self._server: Supervised | None = None
        self._cluster: cluster.Cluster | None = None
        self._port: int | None = None

    def start(self) -> None:
        """Make the data folder at the first time, and serve."""
        if self._cluster is None:
            self._cluster = self._created()
        self._server, self._port = cluster.started(self._cluster, port=self._port)

    def kill(self) -> None:
        """SIGKILL the main process; its backends end with it."""
        if self._server:
            self._server.signal(signal.SIGKILL)
            self._server.wait()

    def is_running(self) -> bool:
        """Whether the main process lives."""
        return self._server is not None and self._server.is_running()

    def environment(self) -> Mapping[str, str]:
        """The address of the database `tallyline`."""
        assert self._cluster is not None
        assert self._port is not None
        return {"TALLYLINE_DATABASE_URL": self._cluster.url(self._port)}

    def _created(self) -> cluster.Cluster:
        folder = self._household.folder / self.name
        folder.mkdir()
        account = binaries.server_account()
        folder.chmod(0o711 if account else 0o700)
        made = cluster.Cluster(
            binaries=binaries.reachable_copy(binaries.located(os.environ), account=account, folder=folder),
            folder=folder,
            account=account,
            password=cluster.new_password(),
            options=self._options,
            is_durable=False,
            supervise=self._household.supervise,
        )
        cluster.created(made)
        return made
