"""Every target by its name."""

from tests.fuzz.target import Target
from tests.fuzz.targets import camera, control_room, evidence, field, sockets, stored, text

ALL: dict[str, Target] = {
    **control_room.TARGETS,
    **text.TARGETS,
    **stored.TARGETS,
    **sockets.TARGETS,
    **field.TARGETS,
    **camera.TARGETS,
    **evidence.TARGETS,
}
