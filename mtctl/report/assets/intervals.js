// Scores of one task: a row for each method, its mean and interval on a common scale.

const ROW = 34;

function intervalPanel({ title, rows, reference, xTitle, width }) {
  const values = rows.flatMap((row) => [row.mean, row.low, row.high]);
  const text = writer(values);
  const xs = padded(extent(values), 0.04);
  const x = linear(...xs, 8, width - 8);
  const told = rows.map((row) => `${row.label} ${withBand(row.mean, row.low, row.high, text)}`);
  const label = `${title}: ${xTitle} by method. ${told.join("; ")}.`;
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${width} ${rows.length * ROW + 44}`, role: "img", "aria-label": label },
    ...intervalAxis({ x, xs, xTitle, width, bottom: rows.length * ROW + 6, reference }),
    ...rows.map((row, number) => intervalRow(row, number * ROW, x, width)),
  );
  const plot = el("div", { class: "plot" }, drawing);
  readIntervals(plot, drawing, { title, rows, xTitle, width, x, text });
  return el("div", { class: "panel" }, el("h4", {}, title), plot);
}

function intervalAxis({ x, xs, xTitle, width, bottom, reference }) {
  const across = ticks(...xs, Math.max(2, Math.floor(width / 80)));
  const upright = (name, value) =>
    svg("line", { class: name, x1: round(x(value)), x2: round(x(value)), y1: 2, y2: bottom });
  return [
    ...across.map((value) => upright("grid", value)),
    ...across.map((value) => {
      const place = { x: round(x(value)), y: bottom + 15, "text-anchor": "middle" };
      return svg("text", place, tickText(value, across));
    }),
    svg("text", { x: width / 2, y: bottom + 33, "text-anchor": "middle" }, xTitle),
    reference !== null && reference >= xs[0] && reference <= xs[1] ? upright("reference", reference) : null,
  ].filter(Boolean);
}

function intervalRow(row, top, x, width) {
  const y = top + 24;
  const ends = row.low === null ? null : { x1: round(x(row.low)), x2: round(x(row.high)), y1: y, y2: y };
  return [
    svg("text", { class: "name", x: 8, y: top + 13 }, fitted(row.label, width - 16)),
    ends && svg("line", { class: "whisker", stroke: row.style.colour, ...ends }),
    svg("path", { d: markerPath(row.style.marker, x(row.mean), y, 4.5), fill: row.style.colour }),
  ];
}

function readIntervals(plot, drawing, { title, rows, xTitle, width, x, text }) {
  const box = { x: 1, width: width - 2, height: ROW - 2, rx: 4 };
  const here = svg("rect", { class: "here", visibility: "hidden", ...box });
  drawing.append(here);
  readable(plot, drawing, {
    label: `${title}: ${xTitle} by method.`,
    places: (index) => {
      const { label, style, mean, low, high } = rows[index];
      return {
        x: x(mean) / width,
        y: ((index + 1) * ROW * plot.clientWidth) / width,
        title: label,
        rows: [{ style, label: xTitle, value: withBand(mean, low, high, text) }],
      };
    },
    moves: along(rows.length, ["ArrowUp", "ArrowLeft"], ["ArrowDown", "ArrowRight"]),
    nearest: (_, py) => (py < rows.length * ROW ? Math.max(0, Math.floor(py / ROW)) : null),
    mark: (index) =>
      filled(
        here,
        index === null ? { visibility: "hidden" } : { visibility: "visible", y: index * ROW + 1 },
        [],
      ),
  });
}

// A name that is too long loses its middle; the value shown on hover has all of it.
function fitted(name, room) {
  const most = Math.max(8, Math.floor(room / 6.6));
  const letters = [...name];
  if (letters.length <= most) return name;
  const half = Math.floor((most - 1) / 2);
  return `${letters.slice(0, half).join("")}…${letters.slice(-half).join("")}`;
}
