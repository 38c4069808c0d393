// How often gradients conflict: a row for each method, training from left to right.

const BESIDE = 640;
const CELL_HEIGHT = 20;

// Where things are: names stand beside their rows where there is room, else above them.
function heatPlaces(rows, width) {
  const beside = width >= BESIDE;
  const left = beside ? Math.min(240, 12 + 6.8 * Math.max(...rows.map((row) => row.label.length))) : 0;
  const pitch = beside ? 26 : 40;
  return { beside, left, pitch, top: beside ? 2 : 18, whole: width - left - 2, bottom: rows.length * pitch };
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

function heatRow(row, number, { beside, left, pitch, top, whole }, width) {
  const y = number * pitch;
  const cell = whole / row.rates.length;
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

function heatAxis({ left, whole, bottom }) {
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

// A place is its row and its stretch; rows may have different numbers of stretches.
function readHeat(plot, drawing, { title, rows, width, at }) {
  const { left, pitch, top, whole } = at;
  const here = svg("rect", { class: "here", height: CELL_HEIGHT, visibility: "hidden" });
  drawing.append(here);
  readable(plot, drawing, {
    label: `${title}.`,
    places: ([row, bin]) =>
      heatPlace(rows[row], bin, {
        x: (left + ((bin + 0.5) / rows[row].rates.length) * whole) / width,
        y: ((row * pitch + top + 24) * plot.clientWidth) / width,
      }),
    moves: heatMoves(rows.map((row) => row.rates.length)),
    nearest: (px, py) => {
      const row = Math.floor(py / pitch);
      const share = (px - left) / whole;
      const inside = row >= 0 && row < rows.length && share >= 0 && share < 1;
      return inside ? [row, Math.floor(share * rows[row].rates.length)] : null;
    },
    mark: (place) => {
      if (place === null) return filled(here, { visibility: "hidden" }, []);
      const cell = whole / rows[place[0]].rates.length;
      const box = { x: round(left + place[1] * cell), y: place[0] * pitch + top, width: round(cell) };
      return filled(here, { visibility: "visible", ...box }, []);
    },
  });
}

function heatPlace(row, bin, place) {
  const [from, to] = [bin, bin + 1].map((edge) => Math.round((edge * 100) / row.rates.length));
  const rate = row.rates[bin];
  const value = rate === null ? "not measured" : percentText(rate);
  return {
    ...place,
    title: `${row.label}, ${from} to ${to} % of training`,
    rows: [{ style: null, label: "conflicting pairs", value }],
  };
}

function heatMoves(counts) {
  const across = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
  const down = { ArrowUp: -1, ArrowDown: 1 };
  const within = (value, count) => Math.max(0, Math.min(count - 1, value));
  return (key, at) => {
    if (!(key in across) && !(key in down)) return null;
    if (at === null) return [0, 0];
    const [row, bin] = at;
    if (key in across) return [row, within(bin + across[key], counts[row])];
    const to = within(row + down[key], counts.length);
    return [to, Math.floor(((bin + 0.5) / counts[row]) * counts[to])];
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
