// How often gradients conflict: a row for each method, training from left to right.

const BESIDE = 640;
const CELL_HEIGHT = 20;

// Where things are: names stand beside their rows where there is room, else above them.
function heatPlaces(rows, width) {
  const beside = width >= BESIDE;
  const left = beside ? Math.min(240, 12 + 6.8 * Math.max(...rows.map((row) => row.label.length))) : 0;
  const pitch = beside ? 26 : 40;
  return {
    beside,
    left,
    pitch,
    top: beside ? 2 : 18,
    cell: (width - left - 2) / charts.bins,
    bottom: rows.length * pitch,
  };
}

function heatPanel({ title, rows, width }) {
  const at = heatPlaces(rows, width);
  const plot = el("div", { class: "plot" });
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${width} ${at.bottom + 40}`, role: "img", "aria-label": describeHeat(title, rows) },
    ...rows.map((row, number) => heatRow(row, number, at, width)),
    ...heatAxis(at),
  );
  plot.append(drawing);
  readHeat(plot, drawing, { title, rows, width, at });
  return el("div", { class: "panel" }, plot);
}

function heatRow(row, number, { beside, left, pitch, top, cell }, width) {
  const y = number * pitch;
  const name = fitted(row.label, beside ? left - 8 : width);
  return [
    svg("text", { class: "name", x: 0, y: y + (beside ? 17 : 13) }, name),
    ...row.rates.map((rate, bin) => {
      const box = { x: round(left + bin * cell), y: y + top, width: round(cell), height: CELL_HEIGHT };
      const look = { class: "cell", "fill-opacity": Math.round(rate * 100) / 100 };
      return svg("rect", { ...box, ...(rate === null ? { class: "unmeasured" } : look) });
    }),
  ];
}

function heatAxis({ left, cell, bottom }) {
  const whole = charts.bins * cell;
  const anchor = (share) => (share === 0 ? "start" : share === 100 ? "end" : "middle");
  return [
    ...[0, 25, 50, 75, 100].map((share) =>
      svg(
        "text",
        { x: round(left + (share / 100) * whole), y: bottom + 16, "text-anchor": anchor(share) },
        `${share} %`,
      ),
    ),
    svg("text", { x: left + whole / 2, y: bottom + 36, "text-anchor": "middle" }, "training"),
  ];
}

function readHeat(plot, drawing, { title, rows, width, at }) {
  const { left, pitch, top, cell } = at;
  const bins = charts.bins;
  const here = svg("rect", { class: "here", width: round(cell), height: CELL_HEIGHT, visibility: "hidden" });
  drawing.append(here);
  readable(plot, drawing, {
    label: `${title}.`,
    places: (index) =>
      heatPlace(rows[Math.floor(index / bins)], index % bins, {
        x: (left + ((index % bins) + 0.5) * cell) / width,
        y: ((Math.floor(index / bins) * pitch + top + 24) * plot.clientWidth) / width,
      }),
    moves: heatMoves(rows.length, bins),
    nearest: (px, py) => {
      const [row, bin] = [Math.floor(py / pitch), Math.floor((px - left) / cell)];
      return row >= 0 && row < rows.length && bin >= 0 && bin < bins ? row * bins + bin : null;
    },
    mark: (index) => {
      if (index === null) return filled(here, { visibility: "hidden" }, []);
      const place = { x: round(left + (index % bins) * cell), y: Math.floor(index / bins) * pitch + top };
      return filled(here, { visibility: "visible", ...place }, []);
    },
  });
}

function heatPlace(row, bin, place) {
  const [from, to] = [bin, bin + 1].map((edge) => Math.round((edge * 100) / charts.bins));
  const rate = row.rates[bin];
  const value = rate === null ? "not measured" : percentText(rate);
  return {
    ...place,
    title: `${row.label}, ${from} to ${to} % of training`,
    rows: [{ style: null, label: "conflicting pairs", value }],
  };
}

function heatMoves(rows, bins) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -bins, ArrowDown: bins };
  return (key, at) => {
    if (key === "Home") return at === null ? 0 : at - (at % bins);
    if (key === "End") return at === null ? bins - 1 : at - (at % bins) + bins - 1;
    if (!(key in steps)) return null;
    if (at === null) return 0;
    const to = at + steps[key];
    const across = Math.abs(steps[key]) === 1 && Math.floor(to / bins) !== Math.floor(at / bins);
    return to < 0 || to >= rows * bins || across ? at : to;
  };
}

function describeHeat(title, rows) {
  const told = rows.map((row) => {
    const known = row.rates.filter((rate) => rate !== null);
    const mean = known.reduce((sum, rate) => sum + rate, 0) / known.length;
    return `${row.label} ${percentText(mean)} on average`;
  });
  return `${title}. ${told.join("; ")}.`;
}
