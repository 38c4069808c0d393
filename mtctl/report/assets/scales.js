// From numbers to places and to text.

const linear = (from, to, start, end) => (value) =>
  start + ((value - from) / (to - from || 1)) * (end - start);

const logarithmic = (from, to, start, end) => {
  const place = linear(Math.log10(from), Math.log10(to), start, end);
  return (value) => place(Math.log10(value));
};

// The least and the most of what is there; a range of no width is widened, so that it has a middle.
function extent(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value === null || value === undefined) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return [0, 1];
  if (low === high) return [low - (Math.abs(low) || 1) * 0.1, high + (Math.abs(high) || 1) * 0.1];
  return [low, high];
}

// The same on a logarithmic scale.
const spread = ([low, high]) => (low > 0 ? [low / 1.2, high * 1.2] : [0.1, 10]);

function padded([low, high], share = 0.05) {
  const pad = (high - low) * share;
  return [low - pad, high + pad];
}

// Round numbers within a range, about as many as are wanted.
function ticks(low, high, wanted) {
  const raw = (high - low) / Math.max(1, wanted);
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((times) => times * size).find((each) => each >= raw) ?? 10 * size;
  if (!Number.isFinite(step) || step <= 0) return [low];
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high + step * 1e-9 && found.length < 50; at += 1)
    found.push(at * step);
  return found;
}

// The same for a logarithmic scale: powers of ten, with twos and fives between, or any, where there are few.
function logTicks(low, high) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const powers = Array.from({ length: Math.min(60, last - first + 1) }, (_, at) => first + at);
  const step = Math.ceil(powers.length / 8);
  const times = powers.length > 3 ? [1] : [1, 2, 5];
  const all = powers
    .filter((_, at) => at % step === 0)
    .flatMap((power) => times.map((each) => each * 10 ** power));
  const within = all.filter((value) => value >= low && value <= high);
  return within.length > 2 ? within : ticks(low, high, 4);
}

const minus = (text) => text.replace(/-/g, "\u2212");
const spelled = (value, options) => minus(value.toLocaleString("en-US", options));

const logText = (value) =>
  value >= 1e-3 && value < 1e6 ? spelled(value, { maximumFractionDigits: 3 }) : minus(value.toExponential(0));

// A tick's text: as few digits as tell it from its neighbours.
function tickText(value, all) {
  const step = all.length > 1 ? Math.abs(all[1] - all[0]) : Math.abs(value) || 1;
  const largest = Math.max(...all.map(Math.abs));
  if (largest >= 1e6 || (largest > 0 && largest < 1e-3)) {
    return largest < 1e15 && largest >= 1
      ? spelled(value, { notation: "compact", maximumFractionDigits: 2 })
      : minus(value.toPrecision(2));
  }
  const told = (digits) =>
    all.every(
      (each) => Math.abs(each * 10 ** digits - Math.round(each * 10 ** digits)) < step * 10 ** digits * 1e-6,
    );
  const digits = [0, 1, 2, 3, 4, 5].find(told) ?? 6;
  return spelled(Math.abs(value) < step * 1e-9 ? 0 : value, { maximumFractionDigits: digits });
}

// How values up to the largest of some are written: one decimal as in the tables, more where all are small.
function writer(values) {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value ?? 0)), 0);
  if (largest >= 1e9 || (largest > 0 && largest < 1e-3))
    return (value) => (value === null || value === undefined ? "–" : minus(value.toPrecision(3)));
  const digits = largest > 0 ? Math.max(1, 2 - Math.floor(Math.log10(largest))) : 1;
  const shape = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return (value) => (value === null || value === undefined ? "–" : spelled(value, shape));
}

// A value of any size with three significant digits: a weight, a loss.
function measureText(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 1000 && size < 1e9) return spelled(Math.round(value), {});
  return minus(size > 0 && size < 1e-3 ? value.toExponential(2) : value.toPrecision(3));
}

const percentText = (share) => (share === null ? "–" : `${Math.round(share * 100)} %`);
const countText = (value) => spelled(Math.round(value), {});

const withBand = (mean, low, high, text) =>
  low === null || low === undefined || high === undefined
    ? text(mean)
    : `${text(mean)} [${text(low)}, ${text(high)}]`;
