"""The page in a real headless Chromium: it draws, answers, fits and stays harmless."""

from __future__ import annotations

import csv
import io
import json
import re
import time

import pytest
from browser import chromium, open_page, require_quiet
from study_ledger import LedgerWriter, four_rows

from llmsched_mip import read_instance, write_plan
from llmsched_mip.cli import main
from llmsched_mip.execution import replay
from llmsched_mip.report.data import read_report
from llmsched_mip.report.formats import csv_text, data_columns

INTERACTIVE_MS, MOST_BYTES = 3000, 10_000_000
FORMULA = '=HYPERLINK("http://example.org")'
HOSTILE = "<img src=x onerror=alert(1)><script>alert(1)</script>\"'"
PIXELS = """
const style = getComputedStyle(document.documentElement);
const rgb = (name) => {
  const probe = document.createElement('canvas').getContext('2d');
  probe.fillStyle = style.getPropertyValue('--' + name);
  probe.fillRect(0, 0, 1, 1);
  return probe.getImageData(0, 0, 1, 1).data.slice(0, 3).join();
};
const shades = new Set([0, 1, 2, 3, 4, 5].map((k) => rgb('shade-' + k)));
const prefill = rgb('prefill').split(',').map(Number);
const canvas = document.querySelector('.gantt canvas');
const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
let bars = 0, prefills = 0;
for (let k = 0; k < data.length; k += 4) {
  const own = data[k] + ',' + data[k + 1] + ',' + data[k + 2];
  bars += shades.has(own);
  // The stall that is drawn over it moves it by rounding.
  prefills += prefill.every((value, c) => Math.abs(value - data[k + c]) <= 3);
}
return [bars / (canvas.width * canvas.height), prefills];
"""
VALUES = "return Array.from(document.querySelectorAll('#table-gaps tbody tr'), r => Number(r.cells[{}].dataset.value))"
VIEW = "const own = document.querySelector('.gantt').dataset; return [Number(own.from), Number(own.to)]"


@pytest.fixture(scope="module")
def study_page(tmp_path_factory):
    """A study of four rows."""
    folder = tmp_path_factory.mktemp("page")
    page = folder / "report.html"
    assert main(["report", str(four_rows(folder / "out", seeds=6)), "-o", str(page)]) == 0
    return page


@pytest.fixture(scope="module")
def full_page(tmp_path_factory, root):
    """A plan of full size: 1319 requests on 200 slots."""
    folder = tmp_path_factory.mktemp("full")
    path = root / "instances" / "gsm8k-65b.json"
    instance = read_instance(path)
    outcome = replay(instance, "fcfs")
    write_plan(
        outcome.to_plan(instance).with_claims(outcome.measures.makespan, {}, 0.0), instance, folder / "plan.json"
    )
    page = folder / "report.html"
    assert main(["report", str(folder / "plan.json"), "--instance", str(path), "-o", str(page)]) == 0
    return page


def require_bars(driver):
    """The canvas shows bars in their colours on a good part of it, and prefill iterations."""
    share, prefills = driver.execute_script(PIXELS)
    assert share > 0.03 and prefills > 20, (share, prefills)


def settle(driver, script, wanted=True, seconds=10.0):
    """Wait until a script gives what is wanted; returns the last answer."""
    end = time.monotonic() + seconds
    while True:
        found = driver.execute_script(script)
        if (bool(found) == wanted) or time.monotonic() > end:
            return found
        time.sleep(0.05)


def test_the_page_is_small_soon_interactive_and_asks_for_nothing(full_page, tmp_path):
    assert full_page.stat().st_size < MOST_BYTES
    with chromium(tmp_path) as driver:
        times = []
        for _ in range(2):
            open_page(driver, full_page)
            times.append(
                driver.execute_script("return performance.getEntriesByName('llmsched-interactive')[0].startTime")
            )
        assert min(times) < INTERACTIVE_MS
        require_bars(driver)
        assert driver.execute_script("return document.querySelectorAll('canvas')[0].width") > 1000
        require_quiet(driver)


def test_tables_sort_by_click_and_keyboard_and_filter(study_page, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    with chromium(tmp_path) as driver:
        open_page(driver, study_page)
        heads = driver.find_elements(By.CSS_SELECTOR, "#table-gaps th")
        place = next(k for k, head in enumerate(heads) if head.text.startswith("value"))
        values = VALUES.format(place)
        before = driver.execute_script(values)
        assert before != sorted(before) and len(before) == 24
        heads[place].find_element(By.TAG_NAME, "button").click()
        assert driver.execute_script(values) == sorted(before)
        assert heads[place].get_attribute("aria-sort") == "ascending"
        heads[place].find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
        assert driver.execute_script(values) == sorted(before, reverse=True)
        assert heads[place].get_attribute("aria-sort") == "descending"
        assert [head.get_attribute("aria-sort") for head in heads].count("none") == len(heads) - 1
        driver.find_element(By.CSS_SELECTOR, "input[data-table=table-gaps]").send_keys("hybrid")
        shown = "return Array.from(document.querySelectorAll('#table-gaps tbody tr')).filter(r => !r.hidden).length"
        assert driver.execute_script(shown) == 6
        assert driver.find_element(By.ID, "count-gaps").text == "6 of 24 rows"
        require_quiet(driver)


def test_every_chart_draws_and_its_views_change(study_page, tmp_path):
    with chromium(tmp_path) as driver:
        open_page(driver, study_page)
        keys = driver.execute_script(
            "return Array.from(document.querySelectorAll('figure[data-chart]'), f => f.dataset.chart)"
        )
        assert {"breakdown", "convergence", "gaps-over-time", "profile-value", "box-gap"} <= set(keys)
        for key in keys:
            holder = f"document.querySelector('figure[data-chart={key}]')"
            driver.execute_script(f"{holder}.scrollIntoView()")
            assert settle(driver, f"return {holder}.querySelectorAll('.plot svg.main-svg .trace').length"), key
        holder = "document.querySelector('figure[data-chart=breakdown]')"
        shown = f"return {holder}.querySelector('.plot').layout.xaxis.range[0]"
        assert driver.execute_script(shown) == 0
        driver.execute_script(
            f"const s = {holder}.querySelector('select'); s.value = '1'; s.dispatchEvent(new Event('change'))"
        )
        assert settle(driver, shown) > 50
        require_quiet(driver)


def test_the_gantt_chart_answers_to_pointer_wheel_and_keyboard(full_page, tmp_path):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    with chromium(tmp_path) as driver:
        open_page(driver, full_page)
        stage = driver.find_element(By.CSS_SELECTOR, ".gantt .stage")
        driver.execute_script("arguments[0].scrollIntoView()", stage)
        begin, end = driver.execute_script(VIEW)
        assert begin == 0 and end == pytest.approx(201.43, abs=0.01)
        ActionChains(driver).move_to_element_with_offset(stage, -200, -100).perform()
        tip = driver.find_element(By.CSS_SELECTOR, ".gantt .tip")
        assert tip.is_displayed()
        for word in ("prompt tokens", "output tokens", "prefill", "decode to", "slots held", "KV"):
            assert word in tip.text
        ActionChains(driver).scroll_from_origin(ScrollOrigin.from_element(stage), 0, -240).perform()
        settle(driver, f"{VIEW.replace('return', 'const v =')}; return v[1] - v[0] < {0.9 * end}")
        low, high = driver.execute_script(VIEW)
        assert high - low < 0.9 * end
        changes = {
            "+": lambda a, b: b[1] - b[0] < a[1] - a[0],
            Keys.ARROW_RIGHT: lambda a, b: b[0] > a[0],
            Keys.ARROW_LEFT: lambda a, b: b[0] < a[0],
            "-": lambda a, b: b[1] - b[0] > a[1] - a[0],
        }
        for keys, change in changes.items():
            view = driver.execute_script(VIEW)
            stage.send_keys(keys)
            settle(driver, f"{VIEW.replace('return', 'const v =')}; return v[0] !== {view[0]} || v[1] !== {view[1]}")
            assert change(view, driver.execute_script(VIEW)), keys
        view = driver.execute_script(VIEW)
        ActionChains(driver).click_and_hold(stage).move_by_offset(-150, 0).release().perform()
        settle(driver, f"{VIEW.replace('return', 'const v =')}; return v[0] > {view[0]}")
        assert driver.execute_script(VIEW)[0] > view[0]
        stage.send_keys("0")
        settle(driver, f"{VIEW.replace('return', 'const v =')}; return v[0] === 0")
        assert driver.execute_script(VIEW) == [0, end]
        driver.find_element(By.CSS_SELECTOR, ".gantt button.in").click()
        settle(driver, f"{VIEW.replace('return', 'const v =')}; return v[1] < {end}")
        assert driver.execute_script(VIEW)[0] > 0
        require_quiet(driver)


def test_dark_by_system_and_by_switch(study_page, tmp_path):
    from selenium.webdriver.common.by import By

    ground = "return getComputedStyle(document.body).backgroundColor"
    with chromium(tmp_path) as driver:
        open_page(driver, study_page)
        assert driver.execute_script(ground) == "rgb(255, 255, 255)"
        dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
        assert settle(driver, ground.replace("return", "return 'rgb(255, 255, 255)' !==")) is True
        driver.find_element(By.ID, "theme").click()
        assert driver.execute_script(ground) == "rgb(255, 255, 255)"
        driver.find_element(By.ID, "theme").click()
        holder = "document.querySelector('figure[data-chart=breakdown]')"
        driver.execute_script(f"{holder}.scrollIntoView()")
        settle(driver, f"return {holder}.querySelector('.plot').layout")
        assert driver.execute_script(f"return {holder}.querySelector('.plot').layout.paper_bgcolor") == "#14171a"
        require_quiet(driver)


def test_a_small_screen_has_no_sideways_scroll(study_page, full_page, tmp_path):
    with chromium(tmp_path, width=360, height=740) as driver:
        for page in (study_page, full_page):
            open_page(driver, page)
            driver.execute_script("document.querySelectorAll('figure[data-chart]').forEach(f => f.chart.draw())")
            settle(driver, "return document.querySelectorAll('.plot:not(:has(.main-svg))').length === 0")
            assert driver.execute_script("return [window.innerWidth, document.documentElement.scrollWidth]") == [
                360,
                360,
            ]
            require_bars(driver)
        require_quiet(driver)


def cells(lines):
    """Cells as numbers where they are numbers: the two languages write some of them differently."""
    return [[float(cell) if re.fullmatch(r"-?[\d.]+(e[-+]?\d+)?", cell) else cell for cell in line] for line in lines]


def downloaded(driver, path):
    """Lines of the CSV file that the page gives."""
    from selenium.webdriver.common.by import By

    driver.find_element(By.ID, "download").click()
    end = time.monotonic() + 300
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.1)
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def test_the_download_button_gives_all_data(study_page, tmp_path):
    with chromium(tmp_path) as driver:
        open_page(driver, study_page)
        lines = downloaded(driver, tmp_path / "small-study.csv")
        require_quiet(driver)
    written = csv_text(data_columns(read_report([study_page.parent / "out"], []).rows))
    assert cells(lines) == cells(csv.reader(io.StringIO(written)))
    assert len(lines) == 25


def test_hostile_names_are_shown_and_run_nothing(tmp_path):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    writer = LedgerWriter(tmp_path / "s", name=HOSTILE, command=HOSTILE)
    instance = read_instance_named(HOSTILE)
    outcome = replay(instance, "fcfs")
    (tmp_path / "s" / "plans").mkdir()
    write_plan(
        outcome.to_plan(instance, HOSTILE).with_claims(outcome.measures.makespan, {}, 0),
        instance,
        tmp_path / "s" / "plans" / "p.json",
    )
    from llmsched_mip import write_instance

    write_instance(instance, tmp_path / "hostile.json")
    result = {
        "status": HOSTILE,
        "instance": HOSTILE,
        "instance_digest": instance.digest,
        "seconds": 1.0,
        "plan": "p.json",
    }
    result |= {
        "host": FORMULA,
        "value": 9.0,
        "bounds": json.dumps({HOSTILE: 8.0}),
        "trace": "[[0.1, 10, 8], [0.5, 9, 8]]",
    }
    for row in ("fcfs", HOSTILE):
        for _ in range(3):
            case = {
                "instance": HOSTILE,
                "row": row,
                "seed": writer.position % 3,
                "file": str(tmp_path / "hostile.json"),
            }
            writer.add(case, result)
    page = tmp_path / "r.html"
    assert main(["report", str(tmp_path / "s"), "-o", str(page)]) == 0
    with chromium(tmp_path) as driver:
        driver.execute_cdp_cmd(
            "Page.addScriptToEvaluateOnNewDocument", {"source": "window.alert = () => { window.alerted = true }"}
        )
        open_page(driver, page)
        driver.execute_script("document.querySelectorAll('figure[data-chart]').forEach(f => f.chart.draw())")
        stage = driver.find_element(By.CSS_SELECTOR, ".gantt .stage")
        driver.execute_script("arguments[0].scrollIntoView()", stage)
        ActionChains(driver).move_to_element_with_offset(stage, -300, 30 - stage.size["height"] // 2).perform()
        assert HOSTILE in driver.find_element(By.CSS_SELECTOR, ".gantt .tip").text
        assert driver.find_element(By.TAG_NAME, "h1").text == HOSTILE
        lines = downloaded(driver, tmp_path / "img-src-x-onerror-alert-1-script-alert-1-script.csv")
        written = csv_text(data_columns(read_report([tmp_path / "s"], []).rows))
        assert cells(lines) == cells(csv.reader(io.StringIO(written)))
        assert FORMULA not in {cell for line in lines for cell in line} and "'" + FORMULA in lines[1]
        assert driver.execute_script(
            "return [window.alerted === undefined, document.images.length, document.scripts.length]"
        ) == [True, 0, 3]
        require_quiet(driver)


def read_instance_named(name):
    """A small instance whose name and ids are `name`."""
    from dataclasses import replace

    from llmsched_mip import Requests
    from llmsched_mip.workload import generate

    instance = generate("gsm8k-65b", 8, 0, slots=2)
    requests = instance.requests
    ids = [name + str(k) for k in range(8)]
    return replace(instance, name=name, requests=Requests(ids, requests.prefill_tokens, requests.decode_tokens))


def test_the_gantt_page_alone_draws(tmp_path, root):
    instance = read_instance(root / "instances" / "gsm8k-small.json")
    write_plan(replay(instance, "fcfs").to_plan(instance), instance, tmp_path / "plan.json")
    arguments = ["--instance", str(root / "instances" / "gsm8k-small.json")]
    for name in ("g.html", "g.svg"):
        assert main(["gantt", str(tmp_path / "plan.json"), *arguments, "-o", str(tmp_path / name)]) == 0
    with chromium(tmp_path) as driver:
        open_page(driver, tmp_path / "g.html")
        require_bars(driver)
        driver.get((tmp_path / "g.svg").as_uri())
        assert driver.execute_script("return document.querySelectorAll('rect').length") > 120
        require_quiet(driver)
