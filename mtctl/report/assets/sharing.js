// Sharing.

// From this ratio on, weights begin on a logarithmic scale: on a linear one, the small ones all lie on 0.
const WIDE = 100;

// The middles of so many stretches of a training, in per cent of it.
const middles = (count) => Array.from({ length: count }, (_, at) => ((at + 0.5) * 100) / count);
const shareText = (share) => `${Math.round(share)} %`;

// What is balanced; where that is not what is scored, it cannot be chosen, and has lines of its own.
const balanced = comparison.balanced.map((name, at) => ({
  name,
  part: parts.indexOf(name),
  style: lineStyle(parts.includes(name) ? parts.indexOf(name) : parts.length + at),
}));

function weightSeries(method) {
  return balanced
    .filter(({ name, part }) => method.weights[name] && (part < 0 || state.parts.has(part)))
    .map(({ name, style }) => ({ label: name, style, mean: method.weights[name] }))
    .map(({ label, style, mean }) => ({
      label,
      style,
      x: middles(mean.length),
      mean,
      low: null,
      high: null,
    }));
}

function weights() {
  const weighted = methods.filter((method) => Object.keys(method.weights).length);
  if (!weighted.length) return missing("weights", "No weight was recorded.");
  const shown = () => shownMethods().filter((method) => weighted.includes(method));
  const draw = (width) =>
    shown().map((method) =>
      linePanel({
        title: method.label,
        series: weightSeries(method),
        xTitle: "% of training",
        yTitle: "weight",
        width,
        height: 210,
        xRange: [0, 100],
        log: state.weights === "log",
        yText: measureText,
        placeText: (value) => `${shareText(value)} of training`,
      }),
    );
  const tables = () =>
    shown().map((method) => {
      const series = weightSeries(method);
      const rows = (series[0]?.x ?? []).map((place, at) => [
        shareText(place),
        ...series.map((each) => measureText(each.mean[at])),
      ]);
      return {
        title: `Weights: ${method.label}`,
        head: ["training", ...series.map((each) => each.label)],
        rows,
      };
    });
  const tasks = balanced.map(({ part }) => part).filter((part) => part > 0);
  const all = weighted.flatMap((method) => Object.values(method.weights).flat());
  const known = all.filter((value) => value !== null);
  if (Math.min(...known) > 0 && Math.max(...known) >= WIDE * Math.min(...known)) state.weights = "log";
  const scales = [
    { value: "linear", text: "linear" },
    ...(all.every((value) => value === null || value > 0) ? [{ value: "log", text: "logarithmic" }] : []),
  ];
  const controls = [
    ...(tasks.length ? [partChoices("Tasks", tasks, (part) => swatch(lineStyle(part)))] : []),
    oneOf("Scale", "weights", scales),
  ];
  return chart("weights", controls, draw, tables);
}

function conflicts() {
  const measured = methods.filter((method) => method.conflicts);
  if (!measured.length) return missing("conflicts", "No gradients were measured.");
  const rows = () =>
    shownMethods()
      .filter((method) => measured.includes(method))
      .map((method) => ({ label: method.label, rates: method.conflicts }));
  const draw = (width) => {
    const found = rows();
    return found.length ? [heatPanel({ title: "Conflicts between gradients", rows: found, width })] : [];
  };
  const tables = () => {
    const found = rows();
    const places = middles(Math.max(0, ...found.map((row) => row.rates.length)));
    const lines = places.map((place) => [
      shareText(place),
      ...found.map(({ rates }) => percentText(rates[Math.floor((place / 100) * rates.length)])),
    ]);
    return [
      {
        title: "Share of conflicting pairs",
        head: ["training", ...found.map((row) => row.label)],
        rows: lines,
      },
    ];
  };
  chart("conflicts", [], draw, tables, true);
  const ramp = el(
    "p",
    { class: "ramp" },
    el("span", {}, "0 %"),
    el("span"),
    el("span", {}, "100 % of pairs; outlined: not measured"),
  );
  return document.getElementById("conflicts").querySelector(".panels").after(ramp);
}
