"""Take a picture of a page in Chromium, as a person sees it.

    python examples/demo.py --output demo.html
    python scripts/screenshot.py demo.html docs/demo.png
    python scripts/screenshot.py demo.html narrow-dark.png --width 400 --dark --whole

Chromium is that of the machine (`apt-get install chromium`); playwright comes with the extra `test`.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """Path of Chromium, or of Chrome; None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def arguments() -> list[str]:
    """Command-line options of Chromium. Its sandbox does not work for root, as in a container."""
    return ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="an HTML file")
    parser.add_argument("picture", type=Path, help="the PNG file to write")
    parser.add_argument("--width", type=int, default=1000, help="of the window, in px")
    parser.add_argument("--height", type=int, default=900, help="of the window, in px")
    parser.add_argument("--whole", action="store_true", help="the whole page, and not what the window shows at first")
    parser.add_argument("--dark", action="store_true", help="as on a screen in dark mode")
    args = parser.parse_args()

    chromium = find_chromium()
    if chromium is None:
        raise SystemExit(f"There is no Chromium: none of {', '.join(NAMES)} is on the PATH.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=arguments())
        page = browser.new_page(
            viewport={"width": args.width, "height": args.height}, color_scheme="dark" if args.dark else "light"
        )
        page.goto(args.page.resolve().as_uri())
        args.picture.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=args.picture, full_page=args.whole)
        browser.close()
    print(f"Wrote {args.picture}.")


if __name__ == "__main__":
    main()
