"""Takes the picture of the README: the class page of the demo, in headless Chromium.

It shows who needs help, the weakest exercises, and all students; the rest is cut out.

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
WIDTH = 1280
WEAKEST = 500  # pixels of the page from `Who needs help` on
COLOURS = 128  # a page of text and a few signs needs no more


def main() -> None:
    """Open the page, take the top of it, write it small."""
    page = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "demo" / "s1" / "index.html"
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None or not page.is_file():
        sys.exit(f"needs {page} (`make demo`) and one of {', '.join(BROWSERS)} on the path")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, chromium_sandbox=False)
        window = chromium.new_page(viewport={"width": WIDTH, "height": 1000})
        window.goto(page.resolve().as_uri())
        PICTURE.parent.mkdir(exist_ok=True)
        window.screenshot(path=PICTURE, full_page=True)
        tops = [
            int(window.locator(f"#{name}").bounding_box()["y"]) for name in ("help", "students")
        ]
        chromium.close()
    with Image.open(PICTURE) as image:
        help_, students = tops
        parts = [
            image.crop((0, help_ - 10, WIDTH, help_ + WEAKEST)),
            image.crop((0, students - 20, WIDTH, image.height)),
        ]
        whole = Image.new("RGB", (WIDTH, sum(part.height for part in parts)))
        whole.paste(parts[0], (0, 0))
        whole.paste(parts[1], (0, parts[0].height))
        whole.quantize(COLOURS).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
