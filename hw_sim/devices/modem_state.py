"""What a simulated modem knows of itself, its SIM and the network. Plain data, no I/O."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Registration = Literal["not_registered", "home", "searching", "denied", "unknown", "roaming"]
SimState = Literal["READY", "SIM PIN", "SIM PUK", "NOT INSERTED"]

STAT: dict[Registration, int] = {
    "not_registered": 0,
    "home": 1,
    "searching": 2,
    "denied": 3,
    "unknown": 4,
    "roaming": 5,
}
"""<stat> of +CREG, +CGREG and +CEREG (3GPP TS 27.007)."""
ACT_EUTRAN = 7
SMS_SLOTS = 23
"""Messages the storage holds."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What is printed on the module and its SIM. Test numbers: MCC 001 belongs to no network."""

    manufacturer: str = "Quectel"
    model: str = "EC25"
    revision: str = "EC25EFAR06A06M4G"
    imei: str = "861536030196001"
    imsi: str = "001010123456789"
    iccid: str = "8944500000000000019F"
    number: str = "+447700900123"
    """In the range Ofcom keeps for drama."""

    @property
    def simcom(self) -> bool:
        """Whether it speaks SIMCom's own commands and not Quectel's."""
        return self.manufacturer.startswith("SIMCOM")


SIMCOM = Identity(manufacturer="SIMCOM INCORPORATED", model="SIMCOM_SIM7600E-H", revision="LE20B04SIM7600M22")


@dataclass(frozen=True, slots=True)
class SentSms:
    """One message that the network took: to whom and what, decoded. `pdu` is empty in text mode."""

    number: str
    text: str
    mono_ns: int
    pdu: str = ""


@dataclass(slots=True)
class ReceivedSms:
    """One message in the modem's storage."""

    number: str
    text: str
    stamp: str
    unread: bool = True


@dataclass(slots=True)
class Network:
    """The cell it hears."""

    operator: str = "Simulated UK"
    mcc_mnc: str = "00101"
    registration: Registration = "home"
    rsrp_dbm: int | None = -92
    rsrq_db: int = -10
    sinr_db: int = 12
    ip_address: str = "10.64.12.7"


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass(slots=True)
class ModemState:
    """Everything the commands read and change. The owner keeps it to one thread at a time."""

    identity: Identity = field(default_factory=Identity)
    network: Network = field(default_factory=Network)
    sim: SimState = "READY"
    pin: str = "1234"
    pin_tries: int = 3
    smsc: str = "+447700900999"
    network_time: Callable[[], datetime.datetime] = _utc_now
    # What a reset forgets (`after_reset`).
    echo: bool = True
    cmee: int = 1
    functionality: int = 1
    urc: dict[str, int] = field(default_factory=lambda: {"CREG": 0, "CGREG": 0, "CEREG": 0})
    sms_text_mode: bool = False
    charset: str = "GSM"
    new_sms_urc: bool = True
    cops_format: int = 0
    settled: bool = True
    """False while it looks for a cell after a start."""
    gnss_on: bool = False
    # What it keeps.
    usbnet: int = 1
    contexts: dict[int, tuple[str, str]] = field(default_factory=lambda: {1: ("IPV4V6", "internet")})
    inbox: dict[int, ReceivedSms] = field(default_factory=dict)
    position: tuple[float, float] | None = (52.0406, -0.7594)

    def after_reset(self) -> None:
        """Back to how it starts: settings not kept in its flash are gone."""
        self.echo, self.cmee, self.functionality = True, 1, 1
        self.urc = {"CREG": 0, "CGREG": 0, "CEREG": 0}
        self.sms_text_mode, self.charset, self.new_sms_urc, self.cops_format = False, "GSM", True, 0
        self.gnss_on = False

    @property
    def registration(self) -> Registration:
        """As the modem reports it: nothing without a ready SIM and radio, searching at first."""
        if self.sim != "READY" or self.functionality != 1:
            return "not_registered"
        if not self.settled or (self.network.rsrp_dbm is None and self.registered_wanted):
            return "searching"
        return self.network.registration

    @property
    def registered_wanted(self) -> bool:
        """Whether the network would take it."""
        return self.network.registration in ("home", "roaming")

    @property
    def registered(self) -> bool:
        """Whether it is on a network now."""
        return self.registration in ("home", "roaming")

    @property
    def rsrp_dbm(self) -> int | None:
        """What the radio hears: None when it is off or hears nothing."""
        return self.network.rsrp_dbm if self.functionality == 1 else None

    @property
    def rssi_dbm(self) -> int | None:
        """A plausible RSSI for the RSRP: 28 dB above it, as on a lightly loaded 10 MHz carrier."""
        return None if self.rsrp_dbm is None else min(-51, self.rsrp_dbm + 28)
