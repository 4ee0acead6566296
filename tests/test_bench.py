"""The benchmark: what it reads of wrk, what it makes of several rounds, what it says holds, and its document."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench import report, sides, targets
from bench.figures import Sample, Summary, sample, summary, wrk

SAID = """Running 3s test @ http://gunicorn.test/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    51.01ms   30.43ms 209.14ms   71.25%
    Req/Sec   638.88    130.49     0.96k    71.67%
  Latency Distribution
     50%  870.00us
     75%    3.40ms
     90%    8.28ms
     99%    1.02s
  3819 requests in 3.02s, 0.87MB read
Requests/sec:   1266.39
Transfer/sec:    295.57KB
""".replace("1.02s", "1.02s ")  # wrk pads to three characters
FAILED = "  Socket errors: connect 1, read 20, write 0, timeout 300\n  Non-2xx or 3xx responses: 4000\n"


def figures(rate: float = 1000, **others: object) -> Summary:
    """Return a summary with the figures that matter to a test."""
    return replace(Summary(rate, 1, 2, {"app": 100, "web": 50}, lowest=rate, highest=rate), **others)  # type: ignore[arg-type]


def everything(**rates: float) -> dict[str, dict[str, Summary]]:
    """Return the summaries of all sides of all parts; rates: of a side, where it is not 1,000."""
    return {
        name: {side.name: figures(rates.get(side.name, 1000)) for side in part.sides}
        for name, part in sides.PARTS.items()
    }


def test_what_wrk_says_is_read_in_any_of_its_units() -> None:
    requests, found = wrk(SAID)
    assert (requests, found.rate, found.p50_ms, found.p99_ms) == (3819, 1266.39, 0.87, 1020)
    assert found.failures == 0


def test_each_kind_of_failed_request_counts() -> None:
    assert wrk(SAID + FAILED)[1].failures == 4321


def test_what_wrk_did_not_say_is_no_figure() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        wrk("unable to connect to gunicorn.test:http Connection refused")


def test_cpu_and_new_connections_are_of_a_request() -> None:
    found = sample({"wrk": SAID, "cpu_us": {"app": 381_900, "database": 0}, "sessions": 191})
    assert found.cpu_us == {"app": 100, "database": 0}
    assert found.sessions == pytest.approx(50, rel=0.01)


def test_a_command_in_wrks_place_has_a_rate_and_no_latency() -> None:
    found = sample({"requests": 3000, "seconds": 3.0, "cpu_us": {"app": 6_000_000}})
    assert found == Sample(1000, 0, 0, {"app": 2000})


def test_rounds_come_to_medians_and_a_range_and_all_failures() -> None:
    rounds = [Sample(rate, rate / 10, rate, {"app": rate}, failures) for rate, failures in ((30, 0), (10, 2), (20, 1))]
    found = summary(rounds)
    assert (found.rate, found.lowest, found.highest) == (20, 10, 30)
    assert (found.p50_ms, found.p99_ms, found.cpu_us, found.failures) == (2, 20, {"app": 20}, 3)


@pytest.mark.parametrize(
    ("rates", "came_to", "verdict"),
    [
        ({"gunicorn": 1200}, "1.20", "holds"),
        ({"gunicorn": 1190}, "1.19", "**does not hold**"),
    ],
)
def test_a_ratio_is_held_to_its_target(rates: dict[str, float], came_to: str, verdict: str) -> None:
    (target,) = (each for each in targets.TARGETS if each.base == "tutorial")
    assert targets.judged(target, everything(**rates)) == (came_to, verdict)


def test_more_cpu_than_the_target_does_not_hold() -> None:
    (target,) = (each for each in targets.TARGETS if each.base == "alone")
    found = everything()
    assert targets.judged(target, found) == ("1.00", "holds")
    found["plain"]["gunicorn"] = figures(cpu_us={"app": 150, "web": 50})
    assert targets.judged(target, found) == ("1.33", "**does not hold**")


def test_the_best_of_several_sides_is_judged() -> None:
    target = next(each for each in targets.TARGETS if len(each.sides) > 1)
    assert targets.judged(target, everything(uwsgi=1300)) == ("1.30", "holds")


def test_a_side_with_failed_requests_makes_no_figure() -> None:
    (target,) = (each for each in targets.TARGETS if each.base == "tutorial")
    found = everything(gunicorn=9000)
    found["plain"]["tutorial"] = figures(failures=1234)
    assert targets.judged(target, found) == ("", "not valid: 1,234 requests failed")


def test_a_part_that_was_not_measured_is_said_to_be() -> None:
    assert {targets.judged(target, {})[1] for target in targets.TARGETS} == {"not measured"}


def test_targets_and_bases_name_sides_of_their_parts() -> None:
    for target in targets.TARGETS:
        names = {side.name for side in sides.PARTS[target.part].sides}
        assert names >= {*target.sides, *filter(None, [target.base])}, target
    for name, part in sides.PARTS.items():
        assert part.base in [side.name for side in part.sides], name
        assert len({side.name for side in part.sides}) == len(part.sides), name


def test_each_side_is_served_by_what_is_set_up() -> None:
    sites = {name: server for server, names in sides.ENVIRONMENTS.items() for name in names}
    peers = {f"bench-{unit.name}.service": unit.server for unit in sides.UNITS}
    for side in (side for part in sides.PARTS.values() for side in part.sides if side.url):
        unit = side.units.get("app") or side.units["web"]
        assert (sites | peers)[unit.removesuffix("@*.service")] == side.server, side.name


def test_a_part_sets_up_no_more_than_it_needs() -> None:
    assert sides.needed(sides.PARTS) == {server: list(sites) for server, sites in sides.ENVIRONMENTS.items()}
    assert sides.needed(["tls"]) == {"bench-nginx": ["gunicorn", "secure"]}
    assert sides.needed(["stalls"])["bench-apache"] == ["httpd", "modwsgi"]


def test_each_peer_has_its_configuration() -> None:
    words = {word for unit in sides.UNITS for word in unit.command} | {
        word for part in sides.PARTS.values() for side in part.sides for word in side.command
    }
    named = {word.removeprefix(f"{sides.PEERS}/") for word in words if word.startswith(sides.PEERS)}
    assert named
    for name in named:
        assert (Path(report.__file__).parent / "peers" / name).is_file(), name


def test_the_document_has_a_row_for_each_side_and_each_target() -> None:
    one = {"rate": 1000.0, "p50_ms": 1.0, "p99_ms": 2.0, "cpu_us": {"app": 100.0}}
    run = {"date": "1 January 2026", "machine": "a machine", "versions": "nginx 1", "seconds": 3}
    results = {
        name: {**run, "samples": {side.name: [one] for side in part.sides}} for name, part in sides.PARTS.items()
    }
    text = report.render(results)
    assert all(f"| {side.label} |" in text for part in sides.PARTS.values() for side in part.sides)
    assert all(f"| {target.what} | {target.wanted} |" in text for target in targets.TARGETS)


def test_the_document_is_what_the_figures_say() -> None:
    results = json.loads((report.DOCS / "benchmarks.json").read_text())
    assert (report.DOCS / "benchmarks.md").read_text() == report.render(results), "Run: python tools/bench report"
