"""The page and its plots, the tables and the advice."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from msgspec.structs import replace

from suffice.evaluation import Comparison, Extras, evaluate, suggest
from suffice.outcomes import Outcomes
from suffice.reports import advice, commands, grids, options, page, table, why
from suffice.reports.forest import forest
from suffice.reports.growth import growth
from suffice.reports.heat import heat_map
from suffice.reports.looks import MAX_LINES, legend, shown
from suffice.reports.plot import plot
from suffice.reports.svg import Scale, element
from suffice.types import Query

MODELS = ("small", "medium <b>", "large")
SPACE = "{http://www.w3.org/2000/svg}"


def outcomes(n: int = 80, *, costs: bool = True, start: int = 0) -> Outcomes:
    rng = np.random.default_rng(start)
    quality = (rng.random((n, 3)) < np.array([0.3, 0.6, 0.8])).astype(float)
    queries = [
        Query(text=f"question {start + i} about {'sums' if i % 2 else 'poems'}", task=f"<i>{i % 2}")
        for i in range(n)
    ]
    cost = np.tile([0.0001, 0.001, 0.01], (n, 1)) if costs else None
    return Outcomes.from_arrays(queries, MODELS, quality, cost_usd=cost)


@pytest.fixture(scope="module")
def full() -> Comparison:
    """With everything that can be asked for."""
    extras = Extras(leave_out="task", new_models=("small",), n_labels=10, curve=(0.5, 1.0), robustness=True)
    return evaluate(outcomes(), outcomes(start=500), ["strongest", "knn"], extras=extras, n_resamples=50)


class TestReports:
    def test_names_are_escaped(self) -> None:
        found = page(evaluate(outcomes(), outcomes(start=500), ["strongest"]), "A & B")
        assert "medium &lt;b&gt;" in found
        assert "<b>" not in found
        assert "A &amp; B" in found
        for outside in ("http://", "https://", "<script", "url("):
            assert outside not in found.replace("http://www.w3.org/2000/svg", "")

    def test_plot_is_svg_with_every_line_and_dot(self) -> None:
        comparison = evaluate(outcomes(), outcomes(start=500), ["strongest", "random"])
        drawn = plot(comparison)
        assert drawn is not None
        tree = ET.fromstring(drawn)
        space = "{http://www.w3.org/2000/svg}"
        assert tree.get("role") == "img"
        assert tree.find(f"{space}desc") is not None
        assert len(tree.findall(f"{space}circle")) == 3 + 1  # models, and the recommended point
        assert len(tree.findall(f"{space}polyline")) == 2 + 1  # with the zero router
        for line in tree.findall(f"{space}polyline"):
            for point in (line.get("points") or "").split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= 760
                assert 0 <= y <= 460

    def test_without_costs(self) -> None:
        comparison = evaluate(
            outcomes(costs=False), outcomes(start=500, costs=False), ["strongest"], pair=("large", "small")
        )
        assert plot(comparison) is None
        assert "no cost-quality plot" in page(comparison)
        head = table(comparison).head
        assert "APGR" in head
        assert "AIQ" not in head
        assert "--prices" in advice(comparison)

    def test_rows_fit_the_head(self) -> None:
        found = table(evaluate(outcomes(), outcomes(start=500), ["random", "strongest"]))
        assert found.routers[0][0] == "strongest"
        assert {len(row) for row in (*found.routers, *found.baselines)} == {len(found.head)}
        assert [row[0] for row in found.baselines] == [
            "Random",
            "Best single",
            "Zero router",
            "Oracle",
            "Task means*",
        ]

    def test_scales(self) -> None:
        even = Scale(low=0, high=10, start=100, end=0)
        assert [even(0), even(5), even(10)] == [100, 50, 0]
        assert even.ticks() == [0, 2, 4, 6, 8, 10]
        log = Scale(low=0.5, high=20, start=0, end=1, is_log=True)
        assert log.ticks() == pytest.approx([0.5, 1, 2, 5, 10, 20])
        assert log(10**0.5) == pytest.approx(0.5)

    def test_element(self) -> None:
        assert (
            element("a", "x", class_="n", stroke_width=1 / 3) == '<a class="n" stroke-width="0.333333">x</a>'
        )

    def test_nothing_is_left_unescaped(self, full: Comparison) -> None:
        found = page(full)
        assert "<b>" not in found
        assert "<i>" not in found
        for heading in (
            "Gain against zero router", "Task by task", "Learning curves", "Each task left out in turn",
            "New models", "Same choice after rewording", "Effort and gains",
        ):  # fmt: skip
            assert f"<h2>{heading}</h2>" in found

    def test_the_page_is_well_formed(self, full: Comparison) -> None:
        body = page(full).split("</head>")[1].removesuffix("</html>\n")
        ET.fromstring(body.replace("&nbsp;", " "))

    def test_forest_has_a_row_per_router_and_a_line_at_zero(self, full: Comparison) -> None:
        tree = ET.fromstring(forest(full) or "")
        assert len(tree.findall(f"{SPACE}circle")) == len(full.routers)
        labels = [one.text or "" for one in tree.findall(f"{SPACE}text")]
        assert {"0", "strongest", "knn"} <= set(labels)
        assert any(label.endswith(("▲", "·", "▼")) for label in labels)

    def test_forest_keeps_the_hopeless_at_the_edge(self) -> None:
        found = evaluate(outcomes(), outcomes(start=500), ["knn", "random"], n_resamples=50)
        gains = found.details.significance
        far = replace(gains["random"], gain=-0.9, ci=(-0.95, -0.85))
        near = replace(gains["knn"], gain=0.02, ci=(0.01, 0.03))
        details = replace(found.details, significance={"knn": near, "random": far})
        drawn = forest(replace(found, details=details)) or ""
        assert "◂" in drawn
        tree = ET.fromstring(drawn)
        places = [float(one.get("cx") or 0) for one in tree.findall(f"{SPACE}circle")]
        assert len(places) == 1
        assert 150 < places[0] < 640

    def test_heat_map_has_a_cell_per_task_and_router(self, full: Comparison) -> None:
        tree = ET.fromstring(heat_map(full) or "")
        assert len(tree.findall(".//tbody/tr")) == 2
        assert len(tree.findall(".//td[@style]")) == 2 * len(full.routers)

    def test_learning_curve_has_a_dot_per_size(self, full: Comparison) -> None:
        tree = ET.fromstring(growth(full) or "")
        assert len(tree.findall(f"{SPACE}circle")) == 2 * len(full.routers)
        assert growth(evaluate(outcomes(), outcomes(start=500), ["strongest"], n_resamples=20)) is None

    def test_grids_fit_their_heads(self, full: Comparison) -> None:
        found = grids(full)
        assert [grid.title.split()[0] for grid in found] == ["Tasks", "Each", "New", "AIQ", "Same", "Effort"]
        for grid in found:
            assert {len(row) for row in grid.rows} == {len(grid.head)}
        assert "Tasks" not in grids(full, tasks=False)[0].title

    def test_few_lines_are_drawn_in_colour(self, full: Comparison) -> None:
        one = full.routers["knn"]
        many = {f"router {k}": one for k in range(20)} | full.routers
        crowded = replace(full, routers=many)
        assert len(shown(crowded)) == MAX_LINES
        assert shown(crowded)[0] == full.recommended.router
        assert f"{22 - MAX_LINES} other routers" in legend(crowded)

    def test_advice_says_what_is_chance(self, full: Comparison) -> None:
        said = advice(full)
        assert said.startswith(f"Use {full.recommended.router} at value_usd")
        assert "significantly" in said
        assert "95 % interval" in said
        assert "mixing single models by lot" in said

    def test_suggestion_in_words(self) -> None:
        found = suggest(outcomes(), ["strongest", "random"], n_resamples=50)
        assert "within chance" in why(found) or "behind" in why(found)
        command, yaml = commands(found, "my data.csv", ("--models", "small,large"))
        assert (
            command == f"suffice train {found.router} --data 'my data.csv' --models small,large --out router"
        )
        assert yaml.splitlines()[0] == f"router: {{name: {found.router}, path: router}}"
        assert options(found).rows[0][0] == found.router
        bare = suggest(outcomes(costs=False), ["strongest"], n_resamples=50)
        assert "--prices" in why(bare)
        assert "policy" not in commands(bare, "f")[1]
