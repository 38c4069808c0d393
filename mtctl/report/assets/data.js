// What the page carries, and what is shown of it at the moment.

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const comparison = read("comparison");
const charts = read("charts");

// The average and the tasks; curves have their parts in this order.
const parts = ["average", ...comparison.tasks];

// At most as many methods are shown at first: the baseline and the best.
const SHOWN_AT_FIRST = 8;
const COLOURS = 8;
const DASHES = ["", "7 3", "2 3", "9 3 2 3"];
const MARKERS = ["circle", "square", "triangle", "diamond", "cross"];

// Line `number` of a chart: 0 is for the baseline, and no two of the next 32 have both colour and dash in common.
function lineStyle(number) {
  if (number === 0) return { colour: "var(--line-0)", dash: "", marker: "circle", base: true };
  const at = number - 1;
  const turn = at + Math.floor(at / COLOURS);
  return {
    colour: `var(--line-${1 + (at % COLOURS)})`,
    dash: DASHES[turn % DASHES.length],
    marker: MARKERS[(turn + 1) % MARKERS.length],
    base: false,
  };
}

let others = 0;
const methods = charts.methods.map((method, index) => ({
  ...method,
  ...lineStyle(method.baseline ? 0 : (others += 1)),
  index,
  scores: comparison.methods[index],
}));

const state = {
  methods: new Set(firstShown()),
  parts: new Set(parts.keys()),
  axis: "unit",
  bands: true,
  weights: "linear",
  source: methods.some((method) => method.evaluations) ? "evaluations" : "training",
};

function firstShown() {
  const baseline = methods.filter((method) => method.baseline);
  const rest = methods.filter((method) => !method.baseline).slice(0, SHOWN_AT_FIRST - baseline.length);
  return [...baseline, ...rest].map((method) => method.index);
}

const shownMethods = () => methods.filter((method) => state.methods.has(method.index));
const shownParts = () => [...parts.keys()].filter((part) => state.parts.has(part));
