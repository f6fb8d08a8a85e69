"""Every mistake gives one line that names file, key, value seen and remedy."""

from pathlib import Path

import pytest

from unitd.config import Config, load
from unitd.config_words import PATTERN_WORDS
from unitd.errors import ConfigError

BROKER = '[[brokers]]\nname = "a"\nhost = "a.example"\n'
ROOM = BROKER + '[[control_rooms]]\nname = "r"\n'
NUMBER = '[modem]\nport = "/a"\n[[duty_numbers]]\nname = "d"\nnumber = "+447700900123"\n'
CAMERA = '[[cameras]]\nname = "dome"\nmain_url = "rtsp://c/main"\n'

ENDPOINT = '[[endpoints]]\nname = "e"\nurl = "wss://h/"\n'
BAD = [
    # what is written, the key named, what is seen, words of the remedy
    ("schema = 2", "schema", "2", "schema = 1"),
    ("schema = true", "schema", "True", "schema = 1"),
    ("", "schema", "missing", "schema = 1"),
    ("[lamp]\nyellow_pin = 1", "lamp", "no such key", "did you mean `lamps`?"),
    ("[ring]\nsegments_s = 1", "ring.segments_s", "no such key", "did you mean `segment_s`?"),
    ("[ring]\nqqq = 1", "ring.qqq", "no such key", "known keys here: segment_s"),
    ("[button]\npin = 99", "button.pin", "saw 99", "a whole number from 0 to 53"),
    ('[button]\npin = "17"', "button.pin", "saw '17'", "a whole number from 0 to 53"),
    ("[button]\npin = 17.5", "button.pin", "saw 17.5", "a whole number from 0 to 53"),
    ('[button]\npin = "none"', "button.pin", "saw 'none'", "a whole number from 0 to 53"),
    ("[button]\nclosed_level = 0", "button.closed_level", "saw 0", 'one of "low", "high"'),
    ('[button]\ndriver = "gpio"', "button.driver", "saw 'gpio'", 'one of "gpiozero", "kernel"'),
    ('[button]\ndriver = "kernel"\nchip = "0"', "button.chip", "saw '0'", "a path such as /dev/gpiochip0"),
    ('[button]\nchip = "/dev/gpiochip0"', "button.chip", "gpiozero finds it by itself", 'driver = "kernel"'),
    ("button = 3", "button", "saw 3", "write a table: [button]"),
    ("brokers = 3", "brokers", "saw 3", "write an array of tables: [[brokers]]"),
    ("[brokers]\nname = 'a'", "brokers", "a table with name", "write an array of tables: [[brokers]]"),
    (BROKER + "port = 70000", "brokers[0].port", "saw 70000", "a whole number from 1 to 65535"),
    (BROKER + BROKER.replace('"a"', '"B!"'), "brokers[1].name", "saw 'B!'", "1 to 32 small letters"),
    (BROKER + BROKER, "brokers[1].name", "saw 'a' twice", "names must differ"),
    ('[[brokers]]\nname = "a"', "brokers[0].host", "missing", "add it: write text in quotes"),
    (BROKER.replace("a.example", "mqtts://a"), "brokers[0].host", "mqtts://a", "the port has its own key"),
    (BROKER + 'key_file = "unit.key"', "brokers[0].key_file", "saw 'unit.key'", 'beginning with "/"'),
    ("[heartbeat]\nperiod_s = 0", "heartbeat.period_s", "saw 0", "above 0 and at most 31536000"),
    ("[heartbeat]\nperiod_s = nan", "heartbeat.period_s", "saw nan", "above 0"),
    ("[heartbeat]\nperiod_s = inf", "heartbeat.period_s", "saw inf", "at most 31536000"),
    ("[heartbeat]\nperiod_s = 90", "heartbeat.silent_after_s", "saw 90", "must exceed heartbeat.period_s"),
    ("[ring]\nlow_watermark_percent = 95", "ring.low_watermark_percent", "saw 95", "below high_watermark_percent"),
    ("[ring]\nhigh_watermark_percent = 100", "ring.high_watermark_percent", "saw 100", "above 0 and below 100"),
    ("[ring]\nretain_days = 0.001", "ring.retain_days", "saw 0.001", "must exceed 0.0014"),
    (CAMERA.replace("dome", "audio"), "cameras[0].name", "saw 'audio'", "the voices of an incident"),
    ("[ring]\nsync_incident_s = 20", "ring.sync_incident_s", "saw 20", "must not exceed sync_idle_s"),
    ("[lamps]\nyellow_pin = 17", "lamps.yellow_pin", "button.pin uses too", "its own pin"),
    ("[site]\nlatitude = 51.0", "site.longitude", "missing", "both latitude and longitude"),
    ("[site]\nlatitude = 151.0\nlongitude = 0.0", "site.latitude", "saw 151.0", "a number from -90 to 90"),
    (CAMERA.replace("c/main", "u:hunter2@c/main"), "cameras[0].main_url", "rtsp://…@c/main", "password_file"),
    (CAMERA.replace("rtsp:", "http:"), "cameras[0].main_url", "http://c/main", "starts with rtsp://"),
    (CAMERA.replace("//c/", "//c:x/"), "cameras[0].main_url", "rtsp://c:x/main", "no URL"),
    (CAMERA.replace("rtsp://c/main", "rtsp://"), "cameras[0].main_url", "rtsp://", "a host name"),
    (CAMERA + 'password_file = "/p"', "cameras[0].username", "missing", "a password_file needs a username"),
    (CAMERA + '[motion]\ncamera = "panel"', "motion.camera", "saw 'panel'", "name one of the cameras (dome)"),
    ('[[endpoints]]\nname = "e"\nurl = "ws://h"', "endpoints[0].url", "saw 'ws://h'", "starts with wss://"),
    ('[[endpoints]]\nname = "e"\nurl = "wss://h/?token=hunter2"', "endpoints[0].url", "token=…", "a secret"),
    ('[dome]\nport = "ttyUSB0"', "dome.port", "saw 'ttyUSB0'", 'beginning with "/"'),
    ('[dome]\nport = "/a"\nbaud = 300', "dome.baud", "saw 300", "one of 2400, 4800, 9600, 19200"),
    ('[dome]\nport = "/a"\n[modem]\nport = "/a"', "modem.port", "dome.port uses too", "its own port"),
    ('[sound]\nlanguage = "english"', "sound.language", "saw 'english'", "two small letters"),
    ('[upload]\nhosts = "h"', "upload.hosts", "saw 'h'", 'an array of texts: hosts = ["..."'),
    ("[upload]\nhosts = [1]", "upload.hosts[0]", "saw 1", "write text in quotes"),
    ('[upload]\nhosts = ["https://h"]', "upload.hosts[0]", "https://h", "without https://"),
    ('[upload]\nhosts = ["h:x"]', "upload.hosts[0]", "h:x", "or host:port"),
    ('[button]\ncontact = "NO"', "button.contact", "saw 'NO'", 'one of "no", "nc", "no+nc"'),
    ('[button]\ncontact = "no+nc"', "button.nc_pin", "missing", "name that of NC too"),
    ("[button]\nnc_pin = 27", "button.nc_pin", "saw 27", 'contact = "no+nc"'),
    (ROOM + 'brokers = ["mian"]', "control_rooms[0].brokers", "saw 'mian'", "one of the brokers (a)"),
    (ROOM + 'hours = ["8-18"]', "control_rooms[0].hours[0]", "saw '8-18'", 'write it like "Mon-Fri 08:00-18:00"'),
    (ROOM + 'hours = ["Mon-Fro 08:00-18:00"]', "control_rooms[0].hours[0]", "Mon-Fro", "'mon-fro' is no day"),
    (ROOM + ROOM.removeprefix(BROKER), "control_rooms[1].name", "saw 'r' twice", "must differ"),
    (NUMBER.replace("+447700900123", "999"), "duty_numbers[0].number", "saw '999'", "nobody reads a text"),
    (NUMBER.replace("+44", "0"), "duty_numbers[0].number", "saw '07700900123'", "write + and the country's code"),
    (NUMBER.replace("modem", "dome"), "duty_numbers", "no [modem]", "add the modem table"),
    (NUMBER + NUMBER[NUMBER.index("[[") :], "duty_numbers[1].name", "saw 'd' twice", "names that differ"),
    ("[escalation]\nunreceived_sms_s = 0", "escalation.unreceived_sms_s", "saw 0", "above 0"),
    ("[escalation]\nsms_again_s = 9e3", "escalation.sms_longest_pause_s", "saw 3600", "below sms_again_s (9000)"),
    ("[test_alarm]\nevery_s = 600", "test_alarm.answer_within_s", "saw 900", "below every_s (600)"),
    ('[test_alarm]\nhours = ["daily 24:01-25:00"]', "test_alarm.hours[0]", "saw 'daily", "no time 24:01"),
    ("[incident]\nclose_after_s = 60", "incident.close_after_s", "saw 60", "exceed incident.still_trying_after_s (60)"),
    (NUMBER + "[incident]\nclose_after_s = 90", "incident.close_after_s", "saw 90", "escalation.unanswered_sms_s (90)"),
    ('[site]\ntimezone = "Europe/Lodnon"', "site.timezone", "saw 'Europe/Lodnon'", 'such as "Europe/London"'),
    (ENDPOINT + 'whep_url = "https://h/"', "endpoints[0].whep_url", "https://h/", 'write kind = "whip_whep"'),
    (ENDPOINT + 'kind = "whip_whep"', "endpoints[0].url", "wss://h/", "starts with https://"),
    (
        ENDPOINT.replace("wss", "https") + 'kind = "whip_whep"\ntoken_file = "token"',
        "endpoints[0].token_file",
        "'token'",
        "a whole path",
    ),
    ('[[ice_servers]]\nurls = ["turn://h"]', "ice_servers[0].urls[0]", "turn://h", "turn:host:port"),
    ("[[ice_servers]]\nurls = []", "ice_servers[0].urls", "saw none", "at least one"),
    ('[[ice_servers]]\nurls = ["turn:h"]\nusername = "u"', "ice_servers[0].username", "saw 'u'", "password_file"),
    ('[call]\nhosts = ["https://h"]', "call.hosts[0]", "https://h", "without https://"),
    ("[call]\nwarn_before_close_s = 14400", "call.warn_before_close_s", "saw 14400", "below incident.close_after_s"),
    ('[call]\nquick_answers = [""]', "call.quick_answers[0]", "saw ''", "1 to 60 printable"),
    ("[sound]\ntalk_dba = 95", "sound.talk_dba", "saw 95", "must not exceed ceiling_dba (90)"),
    ("[sound]\nceiling_dba = 101", "sound.ceiling_dba", "saw 101", "horn_full_dba (100)"),
    ('[sound]\nmore_languages = ["cy", "en"]', "sound.more_languages[1]", "saw 'en'", "name each language once"),
    ('[sound]\nsite_dir = "sounds"', "sound.site_dir", "saw 'sounds'", "a whole path"),
    ("[unit", "syntax", "", "mend the TOML"),
    ("x = " + "[" * 3000, "syntax", "", "mend the TOML"),
    ("x = " + "1" * 5000, "syntax", "", "mend the TOML"),
    ("a" + ".a" * 3000 + " = 1", "", "", ""),
]


@pytest.mark.parametrize(("text", "key", "seen", "remedy"), BAD, ids=[f"{n}-{bad[1]}" for n, bad in enumerate(BAD)])
def test_fail__one_line_with_file_key_value_and_remedy(
    tmp_path: Path, text: str, key: str, seen: str, remedy: str
) -> None:
    file = tmp_path / "unit.toml"
    file.write_text(text if "schema" in text or key == "schema" else f"schema = 1\n{text}")
    with pytest.raises(ConfigError) as caught:
        load(file)
    error = caught.value
    assert error.file == str(file)
    if key:
        assert error.key == key
    assert seen in error.seen
    assert remedy in error.remedy
    assert "\n" not in str(error)
    assert "hunter2" not in str(error)
    assert len(str(error)) < 1000


def test_fail__file_that_cannot_be_read(tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "no.toml", "no such file"),
        (tmp_path, r"cannot be read \(Is a directory\)"),
        (Path("a\0b"), "cannot"),
    ):
        with pytest.raises(ConfigError, match=words):
            load(path)


def test_fail__not_text_or_too_big(tmp_path: Path) -> None:
    file = tmp_path / "unit.toml"
    file.write_bytes(b"schema = 1\n\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 12"):
        load(file)
    file.write_bytes(b"# " + b"x" * 2_000_000)
    with pytest.raises(ConfigError, match="more than"):
        load(file)


def test_ok__the_least_configuration(tmp_path: Path) -> None:
    file = tmp_path / "unit.toml"
    file.write_text("schema = 1\n")
    assert load(file) == Config(schema=1)


def test_every_pattern_of_the_configuration_has_words() -> None:
    patterns = {
        name: value
        for name, value in vars(__import__("unitd.config", fromlist=["x"])).items()
        if getattr(value, "__metadata__", None) and getattr(value.__metadata__[0], "pattern", None)
    }
    assert patterns
    assert {value.__metadata__[0].pattern for value in patterns.values()} <= set(PATTERN_WORDS)


HOSTS = ["evidence.example", "evidence.example:8443", "192.0.2.7", "192.0.2.7:443", "2001:db8::7"]


@pytest.mark.parametrize("host", HOSTS)
def test_ok__hosts_that_may_receive_clips(tmp_path: Path, host: str) -> None:
    file = tmp_path / "unit.toml"
    file.write_text(f'schema = 1\n[upload]\nhosts = ["{host}"]\n')
    assert load(file).upload.hosts == (host,)
