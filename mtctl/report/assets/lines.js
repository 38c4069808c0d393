// Lines with bands.

const MARGIN = { left: 66, right: 20, top: 8, bottom: 40 };
const MOST_PLACES = 160;

// A panel: `series` are {label, style, x, mean, low, high}, arrays of the same length with null where nothing is.
function linePanel({
  title,
  series,
  xTitle,
  yTitle,
  width,
  height,
  xRange,
  yRange,
  placeText,
  yText,
  heading = true,
  log = false,
}) {
  const text = yText ?? writer(valuesOf(series));
  const xs = xRange ?? extent(series.flatMap((each) => each.x));
  const ys = yRange ?? (log ? spread(extent(valuesOf(series))) : padded(rangeOf(series)));
  const x = linear(...xs, MARGIN.left, width - MARGIN.right);
  const y = (log ? logarithmic : linear)(...ys, height - MARGIN.bottom, MARGIN.top);
  const told = describeLines(title, series, xTitle, yTitle, text);
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": told },
    ...axes({ x, y, xs, ys, width, height, xTitle, yTitle, log }),
    ...series.map((each) => bandOf(each, x, (value) => Math.min(height - MARGIN.bottom, Math.max(MARGIN.top, y(value))))),
    ...series.map((each, number) => lineOf(each, x, y, number)),
  );
  const plot = el("div", { class: "plot" }, drawing);
  if (series.length) {
    const label = `${title}: ${yTitle} by ${xTitle}.`;
    readLines(plot, drawing, { label, series, x, xs, width, height, placeText, text });
  }
  return el("div", { class: "panel" }, heading ? el("h4", {}, title) : null, plot);
}

function readLines(plot, drawing, { label, series, x, xs, width, height, placeText, text }) {
  const cursor = svg("line", {
    class: "cursor",
    y1: MARGIN.top,
    y2: height - MARGIN.bottom,
    visibility: "hidden",
  });
  drawing.append(cursor);
  const places = readingPlaces(series);
  const value = linear(MARGIN.left, width - MARGIN.right, ...xs);
  readable(plot, drawing, {
    label,
    places: (index) => ({
      x: x(places[index]) / width,
      y: MARGIN.top,
      title: placeText(places[index]),
      rows: valuesAt(series, places[index], text),
    }),
    moves: along(places.length, ["ArrowLeft", "ArrowDown"], ["ArrowRight", "ArrowUp"]),
    nearest: (px) => nearestIndex(places, value(px)),
    mark: (index) => {
      if (index === null) return filled(cursor, { visibility: "hidden" }, []);
      const place = round(x(places[index]));
      return filled(cursor, { visibility: "visible", x1: place, x2: place }, []);
    },
  });
}

const valuesOf = (series) =>
  series.flatMap((each) => [...each.mean, ...(each.low ?? []), ...(each.high ?? [])]);

// The range of the lines, and of their bands up to half as much beyond: wide intervals do not flatten curves.
function rangeOf(series) {
  const [low, high] = extent(series.flatMap((each) => each.mean));
  const [least, most] = extent(valuesOf(series));
  const room = (high - low) / 2;
  return [Math.max(Math.min(least, low), low - room), Math.min(Math.max(most, high), high + room)];
}

function describeLines(title, series, xTitle, yTitle, text) {
  const ends = series.map(
    (each) => `${each.label} ends at ${text(each.mean.findLast((value) => value !== null) ?? null)}`,
  );
  return `${title}: ${yTitle} by ${xTitle}. ${ends.length ? `${ends.join("; ")}.` : "Nothing is shown."}`;
}

function axes({ x, y, xs, ys, width, height, xTitle, yTitle, log }) {
  const bottom = height - MARGIN.bottom;
  const across = ticks(...xs, Math.max(2, Math.floor(width / 90)));
  const up = log ? logTicks(...ys) : ticks(...ys, 5);
  const middle = (MARGIN.top + bottom) / 2;
  return [
    ...up.map((value) =>
      svg("line", {
        class: "grid",
        x1: MARGIN.left,
        x2: width - MARGIN.right,
        y1: round(y(value)),
        y2: round(y(value)),
      }),
    ),
    ...up.map((value) =>
      svg(
        "text",
        { x: MARGIN.left - 6, y: round(y(value)) + 4, "text-anchor": "end" },
        log ? logText(value) : tickText(value, up),
      ),
    ),
    svg("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom }),
    ...across.map((value) =>
      svg("text", { x: round(x(value)), y: bottom + 16, "text-anchor": "middle" }, tickText(value, across)),
    ),
    svg(
      "text",
      { x: (MARGIN.left + width - MARGIN.right) / 2, y: height - 5, "text-anchor": "middle" },
      xTitle,
    ),
    svg("text", { x: 11, y: middle, "text-anchor": "middle", transform: `rotate(-90 11 ${middle})` }, yTitle),
  ];
}

// The pieces of a line between places without a value: [[index, …], …].
function pieces(values) {
  const found = [[]];
  values.forEach((value, index) => (value === null ? found.push([]) : found.at(-1).push(index)));
  return found.filter((piece) => piece.length);
}

const pathOf = (indices, x, y, each, values) =>
  indices.map((i) => `${round(x(each.x[i]))} ${round(y(values[i]))}`).join("L");

function bandOf(each, x, y) {
  if (!each.low || !each.high) return [];
  return pieces(each.low).map((piece) => {
    const there = pathOf(piece, x, y, each, each.high);
    const back = pathOf([...piece].reverse(), x, y, each, each.low);
    return svg("path", { class: "band", fill: each.style.colour, d: `M${there}L${back}Z` });
  });
}

function lineOf(each, x, y, number) {
  const { colour, dash, marker, base } = each.style;
  const whole = pieces(each.mean);
  const every = Math.max(1, Math.round(each.mean.length / 7));
  const marked = whole.flatMap((piece) =>
    piece.filter((index) => piece.length === 1 || index % every === number % every),
  );
  return [
    svg("path", {
      class: base ? "curve base" : "curve",
      stroke: colour,
      "stroke-dasharray": dash,
      d: whole.map((piece) => `M${pathOf(piece, x, y, each, each.mean)}`).join(""),
    }),
    svg("path", {
      fill: colour,
      d: marked.map((i) => markerPath(marker, x(each.x[i]), y(each.mean[i]), 3)).join(""),
    }),
  ];
}

// Where a reader can stop: at every point, or at even distances where there are many.
function readingPlaces(series) {
  const all = [...new Set(series.flatMap((each) => each.x))].sort((a, b) => a - b);
  if (all.length <= MOST_PLACES) return all;
  const [first, last] = [all[0], all.at(-1)];
  return Array.from(
    { length: MOST_PLACES / 2 },
    (_, at) => first + ((last - first) * at) / (MOST_PLACES / 2 - 1),
  );
}

function nearestIndex(values, wanted) {
  let best = null;
  values.forEach((value, index) => {
    if (best === null || Math.abs(value - wanted) < Math.abs(values[best] - wanted)) best = index;
  });
  return best;
}

// Each line's nearest point, the highest first; nothing of a line that ends before, or begins after.
function valuesAt(series, place, text) {
  return series
    .filter((each) => place >= each.x[0] && place <= each.x.at(-1))
    .map((each) => ({ each, index: nearestIndex(each.x, place) }))
    .sort((a, b) => (b.each.mean[b.index] ?? -Infinity) - (a.each.mean[a.index] ?? -Infinity))
    .map(({ each, index }) => ({
      style: each.style,
      label: each.label,
      value: withBand(each.mean[index], each.low?.[index], each.high?.[index], text),
    }));
}
