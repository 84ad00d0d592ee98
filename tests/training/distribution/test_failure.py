"""A worker that is lost takes the others with it."""

import time

import pytest


@pytest.mark.slow
def test_the_others_end_when_one_is_lost(tmp_path, start_job):
    began = time.monotonic()
    codes, text = start_job(tmp_path, 2, die_at=7, heartbeat=10)
    assert codes[0] != 0, text
    assert time.monotonic() - began < 100
    assert not list(tmp_path.glob("*.json"))
