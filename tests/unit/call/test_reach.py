"""Where a control room may lead a call: the hosts that the site allows, however they are written."""

from typing import Any, cast

from unitd.call.link.reach import Reach
from unitd.config import CallTable, Config
from unitd.messages.workers import NamedEndpoint
from unitd.runtime.logs import setup


def names(*urls: str) -> list[str]:
    config = Config(schema=1, call=CallTable(hosts=("Media.Example",)))
    reach = Reach(config, cast("Any", None), cast("Any", None), None, setup("call", "error"))
    return [each.table.url for each in reach.named(tuple(NamedEndpoint(url=url) for url in urls))]


def test_a_host_is_the_same_in_capitals_and_another_is_left_out() -> None:
    good = ["https://media.example/w", "https://MEDIA.EXAMPLE/w"]
    assert names(good[0], "https://evil.example/w", good[1]) == good
