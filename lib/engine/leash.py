"""A private folder, removed once this process has ended, however it did; so ends the session of a kernel."""

import os
import subprocess
import tempfile
from pathlib import Path

# makes a folder below $0; its input ends when this process closes it, or is gone
SCRIPT = """
folder=$(mktemp -d "$0/skincas-XXXXXX") && echo "$folder"
read -r session && read -r _
[ "$session" ] && kill -s KILL -- "-$session" 2>/dev/null
rm -rf "$folder" || { sleep 1; rm -rf "$folder"; }
"""


class Leash:
    """Holds a session, once there is one, and a `folder` that other users can neither read nor foresee."""

    def __init__(self) -> None:
        place = tempfile.gettempdir()
        place = place if len(os.fsencode(place)) <= 60 else "/tmp"  # a socket's path may have 103 bytes
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._process = subprocess.Popen(["/bin/sh", "-c", SCRIPT, place], start_new_session=True, **pipes)
        self.folder = Path(os.fsdecode(self._process.stdout.readline().rstrip(b"\n")))
        if self.folder == Path():
            raise OSError(f"no folder can be made in {place}; set TMPDIR to a folder that you can write")

    def hold(self, session: int) -> None:
        """End a session with this process, too."""
        self._process.stdin.write(b"%d\n" % session)
        self._process.stdin.flush()

    def close(self) -> None:
        """End what is held, and remove the folder."""
        self._process.communicate()
