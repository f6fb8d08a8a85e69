"""The part of `unitd check` about the evidence key and its certificate. Reads only: core makes the key at its start."""

from collections.abc import Iterator

from unitd.config import Config
from unitd.core.signing import signing_files
from unitd.errors import StoreError


def signing_warnings(c: Config) -> Iterator[str]:
    """Yield `key: what is seen; remedy`. Nothing before there is a key, or for a user who may not look. Blocks."""
    files = signing_files(c)
    try:
        if not files.key.exists():
            return
    except PermissionError:
        return
    try:
        from unitd.tools.signing_job import certificate_of, read_key  # 0.1 s for a library that nothing else here needs

        stands = certificate_of(files.certificate, read_key(files.key).public_key())
    except StoreError as error:
        yield f"evidence.key_file: {error}"
        return
    except OSError as error:
        yield f"evidence.key_file: {files.key} cannot be read ({error.strerror}); it must be unitd's, of mode 0600"
        return
    there, remedy = f"evidence.cert_file: {files.certificate}", f"have {files.request} signed (docs/installer.md)"
    if stands == "missing":
        yield f"{there} is not there; exports do not prove which unit made them; {remedy}"
    elif stands == "another":
        yield f"{there} is for another key than {files.key}; {remedy}"
    elif stands == "unreadable":
        yield f"{there} cannot be read, or is no PEM certificate; {remedy}"
