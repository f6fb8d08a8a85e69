"""Who is asked to answer: text messages and control rooms."""

from tests.simulate.judge_open import OpenJudge
from unitd.messages import workers as worker_wire


class RoutesJudge(OpenJudge):
    def texted(self, sms: worker_wire.SmsWanted) -> None:
        """A text message has left: only for a person who waits, or waited a moment ago."""
        self.counts["text messages"] += 1
        may, making = self._lit_by()
        if not making and not any(each.kind in ("panic", "voice") for each in may):
            self.finding("a text message though nobody called", sms.text)
        if len(sms.text) > 160:
            self.finding("a text message is too long", sms.text)
