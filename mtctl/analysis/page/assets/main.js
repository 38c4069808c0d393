// The charts of this page.

const HEIGHT = 260;
const scoreName = comparison.score.name;
const unitName = `${comparison.unit}s`;

// Set up one chart: `controls` above it, `draw(width)` returns its panels for a panel of that width, `tables` the
// figures. It is drawn again when something is chosen or the page's width changes.
function chart(id, controls, draw, tables, wide = false) {
  const figure = document.getElementById(id);
  const panels = figure.querySelector(".panels");
  panels.classList.toggle("wide", wide);
  figure.querySelector(".controls").append(...controls.filter(Boolean));
  const width = () => {
    const columns = getComputedStyle(panels).gridTemplateColumns.split(" ").length;
    return Math.max(240, Math.floor((panels.clientWidth - 20 * (columns - 1)) / columns));
  };
  const paint = () => {
    const before = width();
    let drawn = draw(before);
    // Two panels, or four, fill rows of two.
    panels.classList.toggle("pairs", drawn.length === 2 || drawn.length === 4);
    if (width() !== before) drawn = draw(width());
    panels.replaceChildren(...(drawn.length ? drawn : [el("p", { class: "nothing" }, "Nothing of what is chosen was recorded.")]));
  };
  redraws.push(paint);
  asTable(figure, tables);
  let seen = panels.clientWidth;
  new ResizeObserver(() => {
    if (panels.clientWidth === seen) return;
    seen = panels.clientWidth;
    paint();
  }).observe(panels);
}

function missing(id, sentence) {
  document.getElementById(id).querySelector(".panels").replaceChildren(el("p", { class: "nothing" }, sentence));
}

// Learning curves.

function curves(part) {
  return shownMethods().flatMap((method) => {
    const found = method[state.source];
    const line = found?.parts[part];
    if (!line) return [];
    const x = (state.axis === "amount" && found.amount) || found.unit;
    return [{ label: method.label, style: method, x, ...line }];
  });
}

function learningTitles() {
  const trained = state.source === "training";
  return { xTitle: state.axis === "amount" && !trained ? charts.counted : unitName, yTitle: trained ? charts.trained_on : scoreName };
}

const learningPlace = (value) => `${countText(value)} ${learningTitles().xTitle}`;

function drawLearning(width) {
  return shownParts()
    .map((part) => ({ part, series: curves(part) }))
    .filter(({ series }) => series.length)
    .map(({ part, series }) => linePanel({ title: parts[part], series, width, height: HEIGHT, placeText: learningPlace, ...learningTitles() }));
}

function learningTables() {
  const { xTitle, yTitle } = learningTitles();
  return shownParts().flatMap((part) => {
    const series = curves(part);
    if (!series.length) return [];
    const places = readingPlaces(series);
    const at = (each, place) => {
      const index = each.x.indexOf(place);
      const nearest = index < 0 && places.length < MOST_PLACES ? -1 : nearestIndex(each.x, place);
      return nearest < 0 ? "–" : withBand(each.mean[nearest], each.low?.[nearest], each.high?.[nearest]);
    };
    const rows = places.map((place) => [countText(place), ...series.map((each) => at(each, place))]);
    return [{ title: `${parts[part]}: ${yTitle}`, head: [xTitle, ...series.map((each) => each.label)], rows }];
  });
}

function learning() {
  const has = (key) => methods.some((method) => method[key]);
  if (!has("evaluations") && !has("training")) return missing("learning", "Nothing was recorded during training.");
  const sources = [
    ...(has("evaluations") ? [{ value: "evaluations", text: `${scoreName} at evaluations` }] : []),
    ...(has("training") ? [{ value: "training", text: charts.trained_on }] : []),
  ];
  const amounts = methods.some((method) => method.evaluations?.amount);
  const axes = [{ value: "unit", text: unitName }, ...(amounts ? [{ value: "amount", text: charts.counted }] : [])];
  const controls = [partChoices("Tasks", [...parts.keys()]), oneOf("Show", "source", sources), oneOf("By", "axis", axes)];
  return chart("learning", controls, drawLearning, learningTables);
}

// Scores.

function scoreRows(part) {
  return shownMethods().map((method) => {
    const found = part ? method.scores.tasks[parts[part]] : method.scores.average;
    return { label: method.label, style: method, mean: found.mean, low: found.low, high: found.high };
  });
}

function baselineScore(part) {
  const baseline = methods.find((method) => method.baseline);
  return methods.length < 2 ? null : (part ? baseline.scores.tasks[parts[part]] : baseline.scores.average).mean;
}

function taskScores() {
  const draw = (width) =>
    state.methods.size
      ? shownParts().map((part) => intervalPanel({ title: parts[part], rows: scoreRows(part), reference: baselineScore(part), xTitle: scoreName, width }))
      : [];
  const tables = () => [
    {
      title: `Scores: ${scoreName}`,
      head: ["method", ...shownParts().map((part) => parts[part])],
      rows: shownMethods().map((method, at) => [method.label, ...shownParts().map((part) => withBand(...Object.values(figuresOf(scoreRows(part)[at]))))]),
    },
  ];
  chart("task-scores", [partChoices("Tasks", [...parts.keys()])], draw, tables);
}

const figuresOf = ({ mean, low, high }) => ({ mean, low, high });

function profileSeries() {
  return shownMethods().map((method) => ({ label: method.label, style: method, x: charts.thresholds, ...method.profile }));
}

function profiles() {
  const draw = (width) => {
    const series = profileSeries();
    const names = { title: "Performance profiles", xTitle: `${scoreName} τ`, yTitle: "share above τ" };
    return series.length ? [linePanel({ ...names, series, width, height: 320, yRange: [0, 1], placeText: (value) => `τ = ${valueText(value)}`, yText: percentText, heading: false })] : [];
  };
  const tables = () => [
    {
      title: "Share of runs and tasks above τ",
      head: ["τ", ...shownMethods().map((method) => method.label)],
      rows: charts.thresholds.map((value, at) => [
        valueText(value),
        ...profileSeries().map((each) => withBand(each.mean[at], each.low?.[at], each.high?.[at], percentText)),
      ]).filter((_, at) => at % 5 === 0),
    },
  ];
  chart("profiles", [], draw, tables, true);
}

// Sharing.

const middles = Array.from({ length: charts.bins }, (_, bin) => ((bin + 0.5) * 100) / charts.bins);
const shareText = (share) => `${Math.round(share)} %`;

function weightSeries(method) {
  return shownParts()
    .filter((part) => part > 0 && method.weights[parts[part]])
    .map((part) => ({ label: parts[part], style: lineStyle(part), x: middles, mean: method.weights[parts[part]], low: null, high: null }));
}

function weights() {
  const weighted = methods.filter((method) => Object.keys(method.weights).length);
  if (!weighted.length) return missing("weights", "No weight was recorded.");
  const shown = () => shownMethods().filter((method) => weighted.includes(method));
  const draw = (width) =>
    shown().map((method) => linePanel({ title: method.label, series: weightSeries(method), xTitle: "% of training", yTitle: "weight", width, height: 210, xRange: [0, 100], placeText: (value) => `${shareText(value)} of training` }));
  const tables = () =>
    shown().map((method) => {
      const series = weightSeries(method);
      const rows = middles.map((place, bin) => [shareText(place), ...series.map((each) => valueText(each.mean[bin]))]);
      return { title: `Weights: ${method.label}`, head: ["training", ...series.map((each) => each.label)], rows };
    });
  const tasks = [...parts.keys()].slice(1);
  return chart("weights", [partChoices("Tasks", tasks, (part) => swatch(lineStyle(part)))], draw, tables);
}

function conflicts() {
  const measured = methods.filter((method) => method.conflicts);
  if (!measured.length) return missing("conflicts", "No gradients were measured.");
  const rows = () => shownMethods().filter((method) => measured.includes(method)).map((method) => ({ label: method.label, rates: method.conflicts }));
  const draw = (width) => {
    const found = rows();
    return found.length ? [heatPanel({ title: "Conflicts between gradients", rows: found, width })] : [];
  };
  const tables = () => [
    {
      title: "Share of conflicting pairs",
      head: ["training", ...rows().map((row) => row.label)],
      rows: middles.map((place, bin) => [shareText(place), ...rows().map((row) => percentText(row.rates[bin]))]),
    },
  ];
  chart("conflicts", [], draw, tables, true);
  const ramp = el("p", { class: "ramp" }, el("span", {}, "0 %"), el("span"), el("span", {}, "100 % of pairs; outlined: not measured"));
  return document.getElementById("conflicts").querySelector(".panels").after(ramp);
}

themeButton();
for (const place of document.querySelectorAll(".methods")) place.append(...[methodChoices()].filter(Boolean));
learning();
taskScores();
profiles();
weights();
conflicts();
redraw();
performance.mark("drawn");
document.documentElement.dataset.drawn = "yes";
