"""What a notebook ran on, for its last cell."""

import platform
from importlib.metadata import version


def versions(*packages: str) -> dict[str, str]:
    """Python, the platform and the installed versions of `packages` (distribution names)."""
    return {"python": platform.python_version(), "platform": platform.platform()} | {p: version(p) for p in packages}
