"""The echo canceller on a simulated street, with the product's own levels. Long: the whole proof (docs/adr/0014)."""

import os

import pytest

from hw_sim.world.acoustics import Street
from tests.bench.echo import ATTENUATION_DB, ERLE_DB, QUIET_STREET_DBA, STOI_LOST, Case, cases, measured

LONG = bool(os.environ.get("UNITD_TEST_LONG"))


SAMPLE = Case("sample", Street(noise_dba=45.0, delay_ms=120.0, drift_ppm=100.0, seed=5))


@pytest.mark.parametrize("case", [each for each in cases() if each.is_judged] if LONG else [SAMPLE], ids=str)
def test_the_echo_goes_and_the_caller_stays(case: Case) -> None:
    figures = measured(case) if LONG else measured(case, talk_s=14.0, double_s=6.0)
    assert figures.raw_stoi < 0.8, "an echo that is no trouble proves nothing"
    assert figures.stoi_lost <= STOI_LOST
    assert figures.attenuation_db <= ATTENUATION_DB
    if case.street.noise_dba <= QUIET_STREET_DBA:
        assert figures.erle_db >= ERLE_DB
