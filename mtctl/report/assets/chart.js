// A chart of this page: its controls, its panels, its figures as tables.

const HEIGHT = 260;
const scoreName = comparison.score.name;
const unitName = `${comparison.unit}s`;

// Set up one chart: `controls` above it, `draw(width)` returns its panels for a panel of that width, `tables` the
// figures. It is drawn again when something is chosen or the page's width changes.
function chart(id, controls, draw, tables, wide = false) {
  const figure = document.getElementById(id);
  const panels = figure.querySelector(".panels");
  panels.classList.toggle("wide", wide);
  figure.querySelector(".controls").append(...controls.filter(Boolean));
  const width = () => {
    const columns = getComputedStyle(panels).gridTemplateColumns.split(" ").length;
    return Math.max(240, Math.floor((panels.clientWidth - 20 * (columns - 1)) / columns));
  };
  const paint = () => {
    const before = width();
    let drawn = draw(before);
    // Two panels, or four, fill rows of two.
    panels.classList.toggle("pairs", drawn.length === 2 || drawn.length === 4);
    if (width() !== before) drawn = draw(width());
    panels.replaceChildren(
      ...(drawn.length ? drawn : [el("p", { class: "nothing" }, "Nothing of what is chosen was recorded.")]),
    );
  };
  redraws.push(paint);
  asTable(figure, tables);
  let seen = panels.clientWidth;
  new ResizeObserver(() => {
    if (panels.clientWidth === seen) return;
    seen = panels.clientWidth;
    paint();
  }).observe(panels);
}

function missing(id, sentence) {
  document
    .getElementById(id)
    .querySelector(".panels")
    .replaceChildren(el("p", { class: "nothing" }, sentence));
}
