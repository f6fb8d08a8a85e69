"""The health of the process, put together from its parts."""

from collections.abc import Callable

from unitd.messages.workers import Fault

Facts = dict[str, str | int | float | bool | None]
Report = Callable[[tuple[Fault, ...], Facts], None]


class Board:
    """Each part pins up its own faults and facts as a level; `publish` gets the whole on every change. Loop only."""

    def __init__(self, publish: Report) -> None:
        self._publish = publish
        self._parts: dict[str, tuple[tuple[Fault, ...], Facts]] = {}

    def part(self, name: str) -> Report:
        """The function by which `name` reports."""

        def report(faults: tuple[Fault, ...], facts: Facts) -> None:
            if self._parts.get(name) == (faults, facts):
                return
            self._parts[name] = (faults, dict(facts))
            all_faults = tuple(fault for part_faults, _ in self._parts.values() for fault in part_faults)
            all_facts = {key: value for _, part_facts in self._parts.values() for key, value in part_facts.items()}
            self._publish(all_faults, all_facts)

        return report
