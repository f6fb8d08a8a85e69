"""Every target by its name."""

from tests.fuzz.target import Target
from tests.fuzz.targets import call, camera, control_room, evidence, field, letters, recordings, sockets, stored, text

ALL: dict[str, Target] = {
    **call.TARGETS,
    **letters.TARGETS,
    **control_room.TARGETS,
    **text.TARGETS,
    **stored.TARGETS,
    **sockets.TARGETS,
    **field.TARGETS,
    **camera.TARGETS,
    **evidence.TARGETS,
    **recordings.TARGETS,
}
