"""Takes README's pictures of pages: python scripts/screenshots.py REPORT AUDIT.

REPORT and AUDIT are the folders that `mien compare` and `mien audit` made of rendered faces, since pictures of
people are not ours to show. The page of `mien serve` is started here, and classifies docs/pictures/people.png. Writes
docs/pictures/report.png, audit.png and page.png; needs playwright and a Chromium.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
WIDTH, HEIGHT, COLORS = 1100, 720, 128


def keep(page: Page, name: str) -> None:
    """Write what the window shows as a small PNG."""
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(path, optimize=True)


def window(browser: Browser) -> Page:
    """Return an empty window."""
    return browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")


def served(browser: Browser) -> None:
    """Show the page of `mien serve` with the faces of a picture."""
    command = [sys.executable, "-u", "-m", "mien", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address
            page = window(browser)
            page.goto(address[0])
            page.set_input_files("#files", PICTURES / "people.png")
            page.get_by_text("Explain").first.wait_for(timeout=120_000)  # the last thing that a face gets
            keep(page, "page")
        finally:
            server.terminate()


def main(report: Path, audit: Path) -> None:
    """Take the three pictures."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, folder in (("report", report), ("audit", audit)):
            page = window(browser)
            page.goto(next(folder.resolve().glob("*.html")).as_uri())
            keep(page, name)
        served(browser)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
