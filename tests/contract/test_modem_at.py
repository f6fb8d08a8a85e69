"""The process `field` and a simulated EC25: what it tells of the modem, and how it gets it back."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from hw_sim.devices.modem import SimModem
from tests.contract.field_process import Core, field, until
from unitd.field.modem import DELETE_TIMEOUT_S


@pytest.fixture
def modem(tmp_path: Path) -> Iterator[SimModem]:
    made = SimModem(link=tmp_path / "modem", reset_s=0.3, search_s=0.2)
    yield made
    made.close()


def _table(modem: SimModem, poll_s: float = 0.3) -> str:
    return f'[modem]\nport = "{modem.path}"\npoll_s = {poll_s}\nanswer_timeout_s = 0.2\n'


async def _seen(core: Core, **facts: object) -> None:
    def there() -> bool:
        return all(core.health.facts.get(f"modem.{key}") == value for key, value in facts.items())

    await until(there, what=f"{facts}")


def test_identity_sim_registration_and_signal(tmp_path: Path, modem: SimModem) -> None:
    async def go() -> None:
        async with field(tmp_path, _table(modem)) as core:
            await _seen(core, registration="home", signal_dbm=-92)
            assert core.health.faults == ()
            identity = modem.state.identity
            assert core.health.facts == {
                "modem.manufacturer": identity.manufacturer,
                "modem.model": identity.model,
                "modem.revision": identity.revision,
                "modem.imei": identity.imei,
                "modem.imsi": identity.imsi,
                "modem.iccid": identity.iccid,
                "modem.sim": "ready",
                "modem.registration": "home",
                "modem.operator": "Simulated UK",
                "modem.technology": "4G",
                "modem.signal_dbm": -92,
                "sms.waiting": 0,
                "sms.sent": 0,
            }
            modem.set_signal(-111)
            await _seen(core, signal_dbm=-111)

    asyncio.run(go())


def test_a_change_that_the_modem_reports_is_seen_before_the_next_poll(tmp_path: Path, modem: SimModem) -> None:
    async def go() -> None:
        async with field(tmp_path, _table(modem, poll_s=600)) as core:
            await _seen(core, registration="home")
            modem.set_registration("roaming")
            await _seen(core, registration="roaming")

    asyncio.run(go())


@pytest.mark.parametrize(
    ("sim", "code"), [("NOT INSERTED", "sim_missing"), ("SIM PIN", "sim_pin"), ("SIM PUK", "sim_pin")]
)
def test_sim_faults_come_and_go(tmp_path: Path, modem: SimModem, sim: str, code: str) -> None:
    async def go() -> None:
        async with field(tmp_path, _table(modem)) as core:
            await _seen(core, sim="ready")
            modem.set_sim(sim)  # type: ignore[arg-type]
            await until(lambda: core.codes() == {code}, what=code)
            assert core.health.facts["modem.iccid"] is None
            modem.set_sim("READY")
            await until(lambda: core.codes() == set(), what="well again")
            await _seen(core, sim="ready", iccid=modem.state.identity.iccid)

    asyncio.run(go())


def test_a_network_that_denies_it_is_a_fault_at_once(tmp_path: Path, modem: SimModem) -> None:
    async def go() -> None:
        async with field(tmp_path, _table(modem)) as core:
            await _seen(core, registration="home")
            modem.set_registration("denied")
            await until(lambda: core.codes() == {"not_registered"}, within_s=5, what="fault")
            assert core.health.facts["modem.operator"] is None
            modem.set_registration("home")
            await until(lambda: core.codes() == set(), what="well again")

    asyncio.run(go())


def test_a_hung_modem_is_a_fault_and_is_taken_up_again(tmp_path: Path, modem: SimModem) -> None:
    async def go() -> None:
        async with field(tmp_path, _table(modem)) as core:
            await _seen(core, registration="home")
            modem.hang(True)
            # one that is caught emptying its store of messages is given the time that this may take
            await until(lambda: core.codes() == {"modem_hung"}, within_s=DELETE_TIMEOUT_S + 15.0, what="fault")
            assert core.health.facts["modem.registration"] == "unknown"
            assert core.health.facts["modem.signal_dbm"] is None
            assert core.health.facts["modem.imei"] == modem.state.identity.imei
            modem.hang(False)
            await until(lambda: core.codes() == set(), what="well again")
            await _seen(core, registration="home", signal_dbm=-92)

    asyncio.run(go())


def test_a_modem_that_restarts_by_itself_is_set_up_again_under_another_port(tmp_path: Path, modem: SimModem) -> None:
    async def go() -> None:
        async with field(tmp_path, _table(modem)) as core:
            await _seen(core, registration="home")
            modem.power_cycle()
            await until(lambda: core.codes() == {"modem_lost"}, what="fault")
            await until(lambda: core.codes() == set(), what="back")
            await _seen(core, registration="home")
            assert modem.state.echo is False, "ATE0 again"

    asyncio.run(go())


def test_a_port_that_is_not_there_and_comes(tmp_path: Path, modem: SimModem) -> None:
    async def go() -> None:
        modem.unplug()
        async with field(tmp_path, _table(modem)) as core:
            await until(lambda: core.codes() == {"modem_lost"}, what="fault")
            modem.plug()
            await _seen(core, registration="home")
            assert core.codes() == set()

    asyncio.run(go())


def test_no_sim_at_the_start_does_not_hide_who_the_modem_is(tmp_path: Path, modem: SimModem) -> None:
    async def go() -> None:
        modem.set_sim("NOT INSERTED")
        async with field(tmp_path, _table(modem)) as core:
            await until(lambda: core.codes() == {"sim_missing"}, what="fault")
            assert core.health.facts["modem.imei"] == modem.state.identity.imei

    asyncio.run(go())


def test_a_hung_modem_whose_supply_is_cut_is_taken_up_again(tmp_path: Path, modem: SimModem) -> None:
    async def go() -> None:
        async with field(tmp_path, _table(modem)) as core:
            await _seen(core, registration="home")
            modem.hang(True)
            await until(lambda: core.codes() == {"modem_hung"}, what="fault")
            modem.power_cycle()
            await until(lambda: core.codes() == set(), what="back")
            await _seen(core, registration="home")

    asyncio.run(go())
