# SPDX-License-Identifier: Apache-2.0
"""Photographs six pages of the site, at the width of a desktop and of a phone, light and dark: docs/screenshots.

    screenshots.py [CHROMIUM]    after scripts/site; needs Playwright and Pillow, and Chromium (Debian: chromium)

Fails if a page is wider than the screen."""
import functools
import http.server
import io
import pathlib
import sys
import threading

from PIL import Image
from playwright.sync_api import sync_playwright

PROJECT = pathlib.Path(__file__).resolve().parents[2]
PAGES = {"home": "index.html", "tutorial": "tutorials/fsdp2.html", "contract": "contract.html", "speed": "speed.html",
         "cpp": "reference/cpp-fills.html", "program": "reference/program.html"}
SCREENS = {"desktop": (1280, 900), "phone": (390, 844)}


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def main():
    chromium = sys.argv[1] if len(sys.argv) > 1 else "/usr/bin/chromium"
    handler = functools.partial(Silent, directory=PROJECT / "build" / "site" / "html")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    out = PROJECT / "docs" / "screenshots"
    out.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for number, (name, page) in enumerate(PAGES.items()):
            for screen, (width, height) in SCREENS.items():
                scheme = "dark" if (number + (screen == "phone")) % 2 else "light"
                tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                tab.goto(f"http://127.0.0.1:{server.server_port}/{page}", wait_until="networkidle")
                assert tab.evaluate("document.documentElement.scrollWidth") <= width, f"{page} is wider than a {screen}"
                picture = Image.open(io.BytesIO(tab.screenshot()))
                picture.save(out / f"{name}-{screen}-{scheme}.webp", quality=80, method=6)
                tab.close()
        browser.close()


if __name__ == "__main__":
    main()
