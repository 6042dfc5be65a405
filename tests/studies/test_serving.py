"""The committed speeds of week 3's engines."""

from course_utils import logs
from course_utils.studies import serving


def test_every_engine_answered_one_request_and_sixteen():
    found = {(r["engine"], r["requests"]): r for r in logs.serving()}
    assert set(found) == {(name, n) for name in serving.ENGINES for n in (1, serving.ROWS)}
    assert all(0 < r["tokens"] <= r["requests"] * serving.NEW for r in found.values())
