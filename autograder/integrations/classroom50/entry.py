"""Public checks of @session@, run by Classroom 50 in a student's checkout.

Classroom 50 publishes this folder, and the student can edit what runs in the repository: so only
public checks are here. Writes result.json and release-body.md; another exit status than 0 is a
fault of ours.
"""

import subprocess
import sys
from pathlib import Path

KIT = Path(__file__).resolve().parent / "kit"
PYTHON = [sys.executable, "-I", "-m"]  # nothing is imported from the checkout


def main() -> int:
    """Install the kit that lies beside this file, and let it check the current folder."""
    install = ["pip", "install", "--quiet", "--disable-pip-version-check"]
    install += ["--constraint", str(KIT / "constraints.txt"), str(KIT)]
    check = ["autograder", "classroom50", "@session@", "--course", str(KIT / "course.yaml")]
    for command in (install, check):
        status = subprocess.run([*PYTHON, *command], check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
