// Scores of one task: a row for each method, its mean and interval on a common scale.

const ROW = 34;

function intervalPanel({ title, rows, reference, xTitle, width }) {
  const height = rows.length * ROW + 44;
  const [left, right, bottom] = [8, width - 8, rows.length * ROW + 6];
  const panel = el("div", { class: "panel" }, el("h4", {}, title));
  const plot = el("div", { class: "plot" });
  const told = rows.map((row) => `${row.label} ${withBand(row.mean, row.low, row.high)}`);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}: ${xTitle} by method. ${told.join("; ")}.` });
  const xs = padded(extent(rows.flatMap((row) => [row.mean, row.low, row.high])), 0.04);
  const x = linear(...xs, left, right);
  const across = ticks(...xs, Math.max(2, Math.floor(width / 80)));
  for (const value of across) {
    drawing.append(svg("line", { class: "grid", x1: round(x(value)), x2: round(x(value)), y1: 2, y2: bottom }));
    drawing.append(svg("text", { x: round(x(value)), y: bottom + 15, "text-anchor": "middle" }, tickText(value, across)));
  }
  drawing.append(svg("text", { x: width / 2, y: height - 5, "text-anchor": "middle" }, xTitle));
  if (reference !== null && reference >= xs[0] && reference <= xs[1]) {
    drawing.append(svg("line", { class: "reference", x1: round(x(reference)), x2: round(x(reference)), y1: 2, y2: bottom }));
  }
  rows.forEach((row, number) => drawing.append(...intervalRow(row, number * ROW, x, width)));
  const here = svg("rect", { class: "here", x: 1, width: width - 2, height: ROW - 2, rx: 4, visibility: "hidden" });
  drawing.append(here);
  plot.append(drawing);
  panel.append(plot);
  if (rows.length) {
    readable(plot, drawing, {
      label: `${title}: ${xTitle} by method.`,
      places: (index) => ({
        x: x(rows[index].mean) / width,
        y: ((index + 1) * ROW * plot.clientWidth) / width,
        title: rows[index].label,
        rows: [{ style: rows[index].style, label: xTitle, value: withBand(rows[index].mean, rows[index].low, rows[index].high) }],
      }),
      moves: along(rows.length, ["ArrowUp", "ArrowLeft"], ["ArrowDown", "ArrowRight"]),
      nearest: (_, py) => (py < rows.length * ROW ? Math.max(0, Math.floor(py / ROW)) : null),
      mark: (index) => filled(here, index === null ? { visibility: "hidden" } : { visibility: "visible", y: index * ROW + 1 }, []),
    });
  }
  return panel;
}

function intervalRow(row, top, x, width) {
  const y = top + 24;
  const whisker =
    row.low === null ? null : svg("line", { class: "whisker", stroke: row.style.colour, x1: round(x(row.low)), x2: round(x(row.high)), y1: y, y2: y });
  return [
    svg("text", { class: "name", x: 8, y: top + 13 }, fitted(row.label, width - 16)),
    ...(whisker ? [whisker] : []),
    svg("path", { d: markerPath(row.style.marker, x(row.mean), y, 4.5), fill: row.style.colour }),
  ];
}

// A name that is too long loses its middle; the value shown on hover has all of it.
function fitted(name, room) {
  const most = Math.max(8, Math.floor(room / 6.6));
  const letters = [...name];
  if (letters.length <= most) return name;
  const half = Math.floor((most - 1) / 2);
  return `${letters.slice(0, half).join("")}…${letters.slice(-half).join("")}`;
}
