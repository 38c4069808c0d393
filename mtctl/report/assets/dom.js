// Elements. Text is always text: nothing here reads HTML.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false)
      node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return node;
}

const el = (name, attributes = {}, ...children) => filled(document.createElement(name), attributes, children);
const svg = (name, attributes = {}, ...children) =>
  filled(document.createElementNS(SVG, name), attributes, children);

const round = (value) => Math.round(value * 10) / 10;

// A marker around a place, as a path.
function markerPath(kind, x, y, size) {
  const [left, right, top, bottom] = [x - size, x + size, y - size, y + size].map(round);
  const [cx, cy] = [round(x), round(y)];
  if (kind === "square") return `M${left} ${top}H${right}V${bottom}H${left}Z`;
  if (kind === "triangle") return `M${cx} ${top}L${right} ${bottom}H${left}Z`;
  if (kind === "diamond")
    return `M${cx} ${round(y - size * 1.3)}L${round(x + size * 1.3)} ${cy}L${cx} ${round(y + size * 1.3)}L${round(x - size * 1.3)} ${cy}Z`;
  if (kind === "cross") {
    const [a, b] = [size * 0.45, size * 1.2];
    const turns = [
      [-a, -b],
      [a, -b],
      [a, -a],
      [b, -a],
      [b, a],
      [a, a],
      [a, b],
      [-a, b],
      [-a, a],
      [-b, a],
      [-b, -a],
      [-a, -a],
    ];
    return `M${turns.map(([dx, dy]) => `${round(x + dx)} ${round(y + dy)}`).join("L")}Z`;
  }
  return `M${left} ${cy}a${size} ${size} 0 1 0 ${2 * size} 0a${size} ${size} 0 1 0 ${-2 * size} 0Z`;
}

// How a line looks, for legends.
function swatch(style) {
  return svg(
    "svg",
    { viewBox: "0 0 26 12", "aria-hidden": "true" },
    svg("line", {
      x1: 0,
      x2: 26,
      y1: 6,
      y2: 6,
      stroke: style.colour,
      "stroke-width": style.base ? 2.5 : 2,
      "stroke-dasharray": style.dash,
    }),
    svg("path", { d: markerPath(style.marker, 13, 6, 3.5), fill: style.colour }),
  );
}
