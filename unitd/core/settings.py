"""The policy's figures, from the configuration. Pure."""

from unitd.config import Config
from unitd.model.incident import DutyNumber, Routes, Settings
from unitd.model.sms import normal_number

DAY_US = 86_400_000_000


def settings_of(config: Config) -> Settings:
    """What `step` and `outputs` need to know of the configuration."""
    incident, dome, test = config.incident, config.dome, config.test_alarm
    return Settings(
        alone=not config.brokers,
        pre_roll_ns=_ns(incident.pre_roll_s),
        post_roll_ns=_ns(incident.post_roll_s),
        review_us=int(config.evidence.review_days * DAY_US),
        hoax_review_us=int(config.evidence.hoax_review_days * DAY_US),
        still_trying_after_ns=_ns(incident.still_trying_after_s),
        close_after_ns=None if incident.close_after_s is None else _ns(incident.close_after_s),
        silent_after_ns=_ns(config.heartbeat.silent_after_s),
        panel_preset=dome.panel_preset if dome else None,
        dome_move_limit_ns=_ns(dome.move_limit_s if dome else 0),
        # a unit that stands alone has nobody who could answer a test
        test_every_ns=None if test.every_s is None or not config.brokers else _ns(test.every_s),
        test_answer_within_ns=_ns(test.answer_within_s),
        test_hours=bool(test.hours),
        warn_after_ns=None if config.call.warn_after_s is None else _ns(config.call.warn_after_s),
        warn_before_close_ns=_ns(config.call.warn_before_close_s),
        routes=_routes(config),
    )


def _routes(config: Config) -> Routes:
    table = config.escalation
    return Routes(
        rooms=tuple(each.name for each in config.control_rooms),
        numbers=tuple(DutyNumber(each.name, normal_number(each.number) or each.number) for each in config.duty_numbers),
        unreceived_ask_next_ns=_ns(table.unreceived_ask_next_s),
        unreceived_sms_ns=_ns(table.unreceived_sms_s),
        unanswered_ask_next_ns=_ns(table.unanswered_ask_next_s),
        unanswered_sms_ns=_ns(table.unanswered_sms_s),
        sms_again_ns=_ns(table.sms_again_s),
        sms_longest_pause_ns=_ns(table.sms_longest_pause_s),
    )


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
