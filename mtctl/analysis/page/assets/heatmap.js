// How often gradients conflict: a row for each method, training from left to right.

const BESIDE = 640;

function heatPanel({ title, rows, width }) {
  const bins = charts.bins;
  const beside = width >= BESIDE;
  const names = beside ? Math.min(240, 12 + 6.8 * Math.max(...rows.map((row) => row.label.length))) : 0;
  const pitch = beside ? 26 : 40;
  const [top, cell] = [beside ? 2 : 18, (width - names - 2) / bins];
  const bottom = rows.length * pitch;
  const height = bottom + 40;
  const panel = el("div", { class: "panel" });
  const plot = el("div", { class: "plot" });
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": describeHeat(title, rows) });
  rows.forEach((row, number) => {
    const label = { class: "name", x: 0, y: number * pitch + (beside ? 17 : 13) };
    drawing.append(svg("text", label, fitted(row.label, beside ? names - 8 : width)));
    row.rates.forEach((rate, bin) => {
      const box = { x: round(names + bin * cell), y: number * pitch + top, width: round(cell), height: 20 };
      drawing.append(svg("rect", rate === null ? { class: "unmeasured", ...box } : { class: "cell", "fill-opacity": Math.round(rate * 100) / 100, ...box }));
    });
  });
  for (const share of [0, 25, 50, 75, 100]) {
    const anchor = share === 0 ? "start" : share === 100 ? "end" : "middle";
    drawing.append(svg("text", { x: round(names + (share / 100) * bins * cell), y: bottom + 16, "text-anchor": anchor }, `${share} %`));
  }
  drawing.append(svg("text", { x: names + (bins * cell) / 2, y: height - 4, "text-anchor": "middle" }, "training"));
  const here = svg("rect", { class: "here", width: round(cell), height: 20, visibility: "hidden" });
  drawing.append(here);
  plot.append(drawing);
  panel.append(plot);
  readable(plot, drawing, {
    label: `${title}.`,
    places: (index) => {
      const [row, bin] = [Math.floor(index / bins), index % bins];
      const rate = rows[row].rates[bin];
      return {
        x: (names + (bin + 0.5) * cell) / width,
        y: ((row * pitch + top + 24) * plot.clientWidth) / width,
        title: `${rows[row].label}, ${Math.round((bin * 100) / bins)} to ${Math.round(((bin + 1) * 100) / bins)} % of training`,
        rows: [{ style: null, label: "conflicting pairs", value: rate === null ? "not measured" : percentText(rate) }],
      };
    },
    moves: heatMoves(rows.length, bins),
    nearest: (px, py) => {
      const [row, bin] = [Math.floor(py / pitch), Math.floor((px - names) / cell)];
      return row >= 0 && row < rows.length && bin >= 0 && bin < bins ? row * bins + bin : null;
    },
    mark: (index) => {
      if (index === null) return filled(here, { visibility: "hidden" }, []);
      const place = { x: round(names + (index % bins) * cell), y: Math.floor(index / bins) * pitch + top };
      return filled(here, { visibility: "visible", ...place }, []);
    },
  });
  return panel;
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
    return `${row.label} ${percentText(known.reduce((sum, rate) => sum + rate, 0) / known.length)} on average`;
  });
  return `${title}. ${told.join("; ")}.`;
}
