import pytest
from erp_benches import BENCHES


@pytest.fixture(params=sorted(BENCHES))
def bench(request, tmp_path):
    """Each ERP in turn; a new ERP joins by a line in `BENCHES`."""
    return BENCHES[request.param](tmp_path)
