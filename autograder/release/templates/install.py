"""Install this kit into the folder .venv beside this file.

    python3 install.py            what `autograder check` needs
    python3 install.py --lab      also what opens the lab sheets

Run it again after an update of the kit: what is there already is kept. pip's own settings
(PIP_INDEX_URL, PIP_NO_INDEX, PIP_FIND_LINKS, ...) are obeyed. On Linux torch comes with its GPU
libraries, several gigabytes; with the index of torch's CPU builds (pytorch.org names it) in
PIP_EXTRA_INDEX_URL it comes without.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE / ".venv"
NEWEST_TRIED = "3.11"


def main() -> int:
    """Make the environment and say how to go on."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", action="store_true", help="also what opens the lab sheets")
    options = parser.parse_args()
    if sys.version_info < (3, 11):
        sys.stderr.write(
            f"This is Python {sys.version.split()[0]}; the kit needs {NEWEST_TRIED} or newer: "
            f"run `python{NEWEST_TRIED} install.py`\n"
        )
        return 2
    started = time.monotonic()
    scripts = ENVIRONMENT / ("Scripts" if sys.platform == "win32" else "bin")
    python = scripts / ("python.exe" if sys.platform == "win32" else "python")
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
    print("Installing the kit and what it needs; torch is large, so this takes a while", flush=True)
    what = f"{HERE}[lab]" if options.lab else str(HERE)
    if pip(python, "--constraint", str(HERE / "constraints.txt"), "--editable", what):
        sys.stderr.write("pip could not install it; its lines above say why\n")
        return 1
    seconds = time.monotonic() - started
    print(f"Installed in {seconds:.0f} s, {megabytes(ENVIRONMENT):,.0f} MB in {ENVIRONMENT}")
    activate = scripts / "activate"
    print(f"Each time you begin: {'' if sys.platform == 'win32' else 'source '}{activate}")
    return 0


def pip(python: Path, *arguments: str) -> int:
    """The exit status of `pip install`."""
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return subprocess.run([*command, *arguments], check=False).returncode


def megabytes(folder: Path) -> float:
    """What the files below a folder take."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / 1e6


if __name__ == "__main__":
    sys.exit(main())
