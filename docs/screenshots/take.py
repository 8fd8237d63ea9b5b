"""Take the screenshots of docs/operations.md from a running stack: `python docs/screenshots/take.py` after `make up`.

Needs Chromium (Debian's `chromium`). The stack must have run a same-day run; the newest one is shown.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

FOLDER = Path(__file__).parent
WIDTH, HEIGHT = 1280, 870
TALL = {"deployments": 1360}  # all of them
COLOURS = 96  # of a palette: an interface has few, and the files stay small
# As root there is no sandbox; the other keeps the browser from looking for anybody but the server.
FLAGS = ("--no-sandbox", "--disable-background-networking")


def pages(api: str) -> dict[str, str]:
    """The name of each picture and the path of its page."""
    same_day = _get(api, "/deployments/name/daily/same-day")
    newest = _post(
        api,
        "/flow_runs/filter",
        {
            "deployments": {"id": {"any_": [same_day["id"]]}},
            "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
            "sort": "END_TIME_DESC",
            "limit": 1,
        },
    )
    if not newest:
        raise SystemExit("no same-day run has completed on this server: run one first (docs/operations.md)")
    [summary] = _post(
        api,
        "/artifacts/filter",
        {"artifacts": {"flow_run_id": {"any_": [newest[0]["id"]]}, "key": {"any_": ["same-day-summary"]}}},
    )
    return {
        "deployments": "/deployments?limit=25",
        "run-form": f"/deployments/deployment/{same_day['id']}/run",
        "run": f"/runs/flow-run/{newest[0]['id']}",
        "summary": f"/artifacts/artifact/{summary['id']}",
        "automations": "/automations",
    }


def take(browser: Browser, url: str, file: Path) -> None:
    """One page as a small PNG, once the server has told it everything what fades in or unfolds at its end."""
    height = TALL.get(file.stem, HEIGHT)
    page = browser.new_page(viewport={"width": WIDTH, "height": height}, color_scheme="dark", reduced_motion="reduce")
    page.goto(url, wait_until="networkidle")
    page.screenshot(path=file, animations="disabled")
    page.close()
    Image.open(file).convert("RGB").quantize(COLOURS).save(file, optimize=True)


def _get(api: str, path: str) -> Any:
    return httpx.get(api + path, timeout=30).raise_for_status().json()


def _post(api: str, path: str, body: dict[str, Any]) -> Any:
    return httpx.post(api + path, json=body, timeout=30).raise_for_status().json()


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:4200", help="the Prefect server")
    url = parser.parse_args().url
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium: apt-get install chromium")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium, args=FLAGS) as browser:
        for name, path in pages(f"{url}/api").items():
            file = FOLDER / f"{name}.png"
            take(browser, url + path, file)
            print(f"{file.name}: {file.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
