"""The Pelco-D dome, spoken to as the driver does: through pyserial."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import serial

from hw_sim.devices.dome import PRESET_LEFT, PRESET_PANEL, PRESETS, SimDome
from hw_sim.devices.pelco_d import Frame
from hw_sim.world.pose import HOME

STOP = Frame(1, 0, 0, 0, 0).pack()
WaitUntil = Callable[..., None]


@pytest.fixture
def dome(tmp_path: Path, clock: Any) -> Iterator[SimDome]:
    dome = SimDome(address=1, link=tmp_path / "dome", clock_ns=clock)
    yield dome
    dome.close()


@pytest.fixture
def port(dome: SimDome) -> Iterator[serial.Serial]:
    with serial.Serial(str(dome.path), 9600, timeout=2.0) as port:
        yield port


@pytest.fixture
def tell(dome: SimDome, port: serial.Serial, wait_until: WaitUntil) -> Callable[[bytes], None]:
    """Send frames and wait until the dome has read them all."""

    def send(data: bytes) -> None:
        seen = dome.frames + dome.ignored_frames
        port.write(data)
        wait_until(lambda: dome.frames + dome.ignored_frames > seen, "the dome reads a frame")

    return send


Tell = Callable[[bytes], None]


def test_ok__pans_at_the_commanded_speed_until_stopped(dome: SimDome, tell: Tell, clock: Any) -> None:
    assert dome.pose() == HOME
    tell(Frame(1, 0, 0x02, 0x3F, 0).pack())
    clock.pass_s(1.0)
    assert dome.pose().pan_deg == pytest.approx(60.0)
    tell(STOP)
    clock.pass_s(5.0)
    assert dome.pose().pan_deg == pytest.approx(60.0)
    assert not dome.moving


@pytest.mark.parametrize(
    ("command2", "speeds", "moved"),
    [
        (0x02, (0x20, 0), (60 * 0x20 / 0x3F, 0.0)),
        (0x04, (0x20, 0), (-60 * 0x20 / 0x3F, 0.0)),
        (0x08, (0, 0x10), (0.0, 40 * 0x10 / 0x3F)),
        (0x10, (0, 0x10), (0.0, -40 * 0x10 / 0x3F)),
        (0x14, (0x10, 0x10), (-60 * 0x10 / 0x3F, -40 * 0x10 / 0x3F)),
        (0x02, (0x40, 0), (100.0, 0.0)),
        (0x06, (0x20, 0), (0.0, 0.0)),
    ],
)
def test_ok__each_direction(
    dome: SimDome, tell: Tell, clock: Any, command2: int, speeds: tuple[int, int], moved: tuple[float, float]
) -> None:
    tell(Frame(1, 0, command2, *speeds).pack())
    clock.pass_s(1.0)
    pose = dome.pose()
    assert (pose.pan_deg - HOME.pan_deg, pose.tilt_deg - HOME.tilt_deg) == pytest.approx(moved)


def test_ok__zooms_in_and_out(dome: SimDome, tell: Tell, clock: Any) -> None:
    tell(Frame(1, 0, 0x20, 0, 0).pack())
    clock.pass_s(2.0)
    tele = dome.pose().zoom
    assert tele == pytest.approx(20**0.5)
    tell(Frame(1, 0, 0x40, 0, 0).pack())
    clock.pass_s(1.0)
    assert dome.pose().zoom < tele


def test_ok__presets_are_set_gone_to_and_cleared(dome: SimDome, tell: Tell, clock: Any) -> None:
    tell(Frame(1, 0, 0x07, 0, PRESET_PANEL).pack())
    clock.pass_s(5.0)
    assert dome.pose() == PRESETS[PRESET_PANEL]
    tell(Frame(1, 0, 0x03, 0, 77).pack())
    assert dome.presets[77] == PRESETS[PRESET_PANEL]
    tell(Frame(1, 0, 0x07, 0, PRESET_LEFT).pack())
    clock.pass_s(5.0)
    tell(Frame(1, 0, 0x07, 0, 77).pack())
    clock.pass_s(5.0)
    assert dome.pose() == PRESETS[PRESET_PANEL]
    tell(Frame(1, 0, 0x05, 0, 77).pack())
    assert 77 not in dome.presets


def test_ok__an_empty_preset_stops_the_motors(dome: SimDome, tell: Tell, clock: Any) -> None:
    tell(Frame(1, 0, 0x02, 0x20, 0).pack())
    tell(Frame(1, 0, 0x07, 0, 200).pack())
    assert not dome.moving


def test_fail__other_addresses_bad_checksums_and_garbage_move_nothing(dome: SimDome, tell: Tell) -> None:
    tell(b"\x00garbage\xff\x01" + Frame(2, 0, 0x02, 0x3F, 0).pack())
    tell(Frame(1, 0, 0x02, 0x3F, 0).pack()[:-1] + b"\x00" + Frame(9, 0, 0, 0, 0).pack())
    assert not dome.moving
    assert dome.frames == 0
    assert dome.ignored_frames == 2
    assert dome.bad_frames >= 1


def test_ok__says_nothing_unless_asked_where_it_is(dome: SimDome, tell: Tell, port: serial.Serial, clock: Any) -> None:
    tell(Frame(1, 0, 0x07, 0, PRESET_PANEL).pack())
    clock.pass_s(5.0)
    pose = dome.pose()
    answers = []
    for query in (0x51, 0x53, 0x55):
        port.write(Frame(1, 0, query, 0, 0).pack())
        answer = port.read(7)
        assert sum(answer[1:6]) % 256 == answer[6]
        answers.append((answer[3], answer[4] << 8 | answer[5]))
    assert answers == [
        (0x59, round(pose.pan_deg * 100)),
        (0x5B, round(-pose.tilt_deg * 100)),
        (0x5D, round((pose.zoom - 1) / 19 * 0xFFFF)),
    ]
    assert port.in_waiting == 0


def test_ok__position_left_of_the_middle_and_above_the_horizon_wraps(
    dome: SimDome, tell: Tell, port: serial.Serial, clock: Any
) -> None:
    tell(Frame(1, 0, 0x0C, 0x3F, 0x3F).pack())
    clock.pass_s(0.5)
    tell(STOP)
    port.write(Frame(1, 0, 0x51, 0, 0).pack() + Frame(1, 0, 0x53, 0, 0).pack())
    pan, tilt = port.read(7), port.read(7)
    assert (pan[4] << 8 | pan[5]) / 100 == pytest.approx(360 - 30)
    assert (tilt[4] << 8 | tilt[5]) / 100 == pytest.approx(360 - 12)


def test_fail__hung_electronics_ignore_everything_and_the_head_runs_on(
    dome: SimDome, tell: Tell, port: serial.Serial, clock: Any, wait_until: WaitUntil
) -> None:
    tell(Frame(1, 0, 0x02, 0x08, 0).pack())
    dome.hang(True)
    port.write(STOP)
    wait_until(lambda: port.out_waiting == 0, "the bytes are taken")
    clock.pass_s(2.0)
    assert dome.pose().pan_deg == pytest.approx(2 * 60 * 8 / 0x3F)
    dome.hang(False)
    tell(STOP)
    assert not dome.moving


def test_fail__unplugged_is_a_hang_up_and_back_under_the_same_link(
    dome: SimDome, port: serial.Serial, tmp_path: Path
) -> None:
    link = tmp_path / "dome"
    first = link.resolve()
    dome.unplug()
    assert not dome.plugged
    assert not link.is_symlink()
    with pytest.raises((serial.SerialException, OSError)):
        port.read(1)
    with pytest.raises(serial.SerialException):
        serial.Serial(str(link))
    dome.plug()
    assert link.is_symlink()
    assert first.parent == link.resolve().parent
    with serial.Serial(str(link), 9600, timeout=2.0) as again:
        again.write(Frame(1, 0, 0x51, 0, 0).pack())
        assert again.read(7)[3] == 0x59


def test_ok__closed_leaves_no_link_and_no_thread(tmp_path: Path) -> None:
    dome = SimDome(link=tmp_path / "dome")
    dome.close()
    dome.close()
    assert not (tmp_path / "dome").is_symlink()
