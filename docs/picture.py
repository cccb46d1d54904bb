"""Takes the picture of the README: the class page of the demo, in headless Chromium.

python docs/picture.py [PAGE]    # after `make demo`; by default build/demo/s1/index.html
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "images" / "class-page.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDTH, HEIGHT = 1280, 1000
COLOURS = 128  # a page of text and a few signs needs no more


def main() -> None:
    """Open the page, take the top of it, write it small."""
    page = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "demo" / "s1" / "index.html"
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None or not page.is_file():
        sys.exit(f"needs {page} (`make demo`) and one of {', '.join(BROWSERS)} on the path")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, chromium_sandbox=False)
        window = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        window.goto(page.resolve().as_uri())
        PICTURE.parent.mkdir(exist_ok=True)
        window.screenshot(path=PICTURE)
        chromium.close()
    with Image.open(PICTURE) as image:
        image.convert("RGB").quantize(COLOURS).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
