// Sharing.

const middles = Array.from({ length: charts.bins }, (_, bin) => ((bin + 0.5) * 100) / charts.bins);
const shareText = (share) => `${Math.round(share)} %`;

function weightSeries(method) {
  return shownParts()
    .filter((part) => part > 0 && method.weights[parts[part]])
    .map((part) => ({
      label: parts[part],
      style: lineStyle(part),
      x: middles,
      mean: method.weights[parts[part]],
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
        placeText: (value) => `${shareText(value)} of training`,
      }),
    );
  const tables = () =>
    shown().map((method) => {
      const series = weightSeries(method);
      const text = writer(valuesOf(series));
      const rows = middles.map((place, bin) => [
        shareText(place),
        ...series.map((each) => text(each.mean[bin])),
      ]);
      return {
        title: `Weights: ${method.label}`,
        head: ["training", ...series.map((each) => each.label)],
        rows,
      };
    });
  const tasks = [...parts.keys()].slice(1);
  return chart("weights", [partChoices("Tasks", tasks, (part) => swatch(lineStyle(part)))], draw, tables);
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
  const tables = () => [
    {
      title: "Share of conflicting pairs",
      head: ["training", ...rows().map((row) => row.label)],
      rows: middles.map((place, bin) => [
        shareText(place),
        ...rows().map((row) => percentText(row.rates[bin])),
      ]),
    },
  ];
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
