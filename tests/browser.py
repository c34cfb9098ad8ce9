"""A page looked at in a real browser."""

import re
from itertools import combinations
from pathlib import Path


def reads_well(browser, page: Path, width: int, scheme: str) -> None:
    """Nothing leaves the page or overflows, every picture loads, dark is dark, no two figures overlap."""
    requests, complaints = [], []
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))

    tab.goto(page.as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    broken = tab.evaluate(
        "Promise.all([...document.images].map(i => { i.loading = 'eager'; return i.decode().then(() => 0, () => 1) }))"
        ".then(all => all.filter(x => x).length)"
    )
    overflow = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    paper = tab.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    boxes = tab.evaluate(
        "[...document.querySelectorAll('.panel')].map(p => p.getBoundingClientRect())"
        ".map(b => [b.left, b.top, b.right, b.bottom])"
    )
    tab.close()

    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert complaints == []
    assert broken == 0
    assert overflow <= 0
    assert (max(map(int, re.findall(r"\d+", paper)[:3])) < 60) == (scheme == "dark")
    for (left, top, right, bottom), other in combinations(boxes, 2):
        apart = right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
        assert apart, "two figures overlap"


def serious(tab) -> list[str]:
    """What axe-core finds that keeps people from using the page."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(tab).response["violations"]
    return [
        f"{one['id']}: {[node['html'] for node in one['nodes']]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
