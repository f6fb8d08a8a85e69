"""TLS judged by the best that is known of the time; certificates renewed on disk are taken up."""

import datetime
import shutil
import socket
import ssl
import threading
from pathlib import Path

import pytest

from hw_sim.pki import Pki
from unitd.drivers.tls import NOT_YET_GRACE_S, client_context, judge_dates
from unitd.messages.control_room import ClockQuality, Stamp
from unitd.model.clock import BUILD_UTC_S

DAY_S = 86_400
STARTS_S = BUILD_UTC_S + 10 * DAY_S
ENDS_S = STARTS_S + 30 * DAY_S


def certificate() -> dict[str, str]:
    def words(at_s: int) -> str:
        return datetime.datetime.fromtimestamp(at_s, datetime.UTC).strftime("%b %d %H:%M:%S %Y GMT")

    return {"notBefore": words(STARTS_S), "notAfter": words(ENDS_S)}


def now(utc_s: float, clock: ClockQuality) -> Stamp:
    return Stamp(utc_us=int(utc_s * 1_000_000), clock=clock, mono_ns=0)


@pytest.mark.parametrize(
    ("utc_s", "clock", "bound_s"),
    [
        (60, "unknown", BUILD_UTC_S),  # 1970
        (STARTS_S - 400 * DAY_S, "unknown", BUILD_UTC_S),  # set back
        (ENDS_S + 365 * DAY_S, "unknown", BUILD_UTC_S),  # set forward a year, by whoever
        (60, "unknown", ENDS_S - DAY_S),  # last seen shortly before the end
        (STARTS_S + DAY_S, "synced", BUILD_UTC_S),
        (STARTS_S + DAY_S, "held", BUILD_UTC_S),
        (STARTS_S + DAY_S, "synced", ENDS_S + DAY_S),  # the bound was wrong, the clock is right now
        (STARTS_S - NOT_YET_GRACE_S + 60, "synced", BUILD_UTC_S),  # made today, clock an hour or so back
    ],
)
def test_ok(utc_s: float, clock: ClockQuality, bound_s: float) -> None:
    judge_dates(certificate(), now(utc_s, clock), bound_s)


@pytest.mark.parametrize(
    ("utc_s", "clock", "bound_s", "words"),
    [
        (60, "unknown", ENDS_S + 1, "expired"),  # provably over, even in 1970
        (STARTS_S + DAY_S, "unknown", ENDS_S + DAY_S, "expired"),
        (ENDS_S + 60, "synced", BUILD_UTC_S, "expired"),
        (ENDS_S + 60, "held", BUILD_UTC_S, "expired"),
        (STARTS_S - 2 * DAY_S, "synced", BUILD_UTC_S, "not valid before"),
    ],
)
def test_fail(utc_s: float, clock: ClockQuality, bound_s: float, words: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=words):
        judge_dates(certificate(), now(utc_s, clock), bound_s)


class Server:
    """Shakes hands with whoever comes and remembers the serial numbers of the certificates it was shown."""

    def __init__(self, pki: Pki) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pki.broker.cert_file, pki.broker.key_file)
        self._context.load_verify_locations(pki.broker.ca_file)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.maximum_version = ssl.TLSVersion.TLSv1_2  # the client's certificate comes within the handshake
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.shown: list[str] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(plain, server_side=True) as link:
                    self.shown.append(str((link.getpeercert() or {})["serialNumber"]))
            except OSError:
                self.shown.append("refused")

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)


def shake_hands(context: ssl.SSLContext, port: int) -> None:
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as link,
    ):
        link.recv(1)


def test_a_renewed_certificate_is_shown_at_the_next_connection_and_half_of_one_is_not(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    first, second = pki.unit("pole-0001"), pki.unit("pole-0002")
    ca, cert, key = (tmp_path / name for name in ("ca.pem", "unit.pem", "unit.key"))
    for source, target in zip((first.ca_file, first.cert_file, first.key_file), (ca, cert, key), strict=True):
        shutil.copy(source, target)
    server = Server(pki)
    try:
        context = client_context(str(ca), str(cert), str(key), lambda: now(60, "unknown"))
        shake_hands(context, server.port)
        shutil.copy(second.cert_file, tmp_path / "new")
        (tmp_path / "new").replace(cert)  # the key is still the old one
        shake_hands(context, server.port)
        shutil.copy(second.key_file, key)
        shake_hands(context, server.port)
        cert.unlink()
        shake_hands(context, server.port)
    finally:
        server.close()
    old, half, renewed, gone = server.shown
    assert old == half != renewed == gone
    assert "refused" not in server.shown


def test_fail__a_certificate_that_ended_before_the_bound_is_refused_in_1970(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    own = pki.unit("pole-0001")
    server = Server(pki)
    files = str(own.ca_file), str(own.cert_file), str(own.key_file)
    stamp = now(60, "unknown")
    try:
        shake_hands(client_context(*files, lambda: stamp, lambda: BUILD_UTC_S), server.port)
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            shake_hands(client_context(*files, lambda: stamp, lambda: BUILD_UTC_S + 10 * 365 * DAY_S), server.port)
    finally:
        server.close()
