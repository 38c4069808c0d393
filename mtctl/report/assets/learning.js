// Learning curves.

function curves(part) {
  return shownMethods().flatMap((method) => {
    const found = method[state.source];
    const line = found?.parts[part];
    if (!line) return [];
    const x = (state.axis === "amount" && found.amount) || found.unit;
    return [banded({ label: method.label, style: method, x, ...line })];
  });
}

const banded = (line) => (state.bands ? line : { ...line, low: null, high: null });

const bandChoice = () =>
  choices(
    "Intervals",
    toggle(
      ["95 %"],
      () => state.bands,
      () => (state.bands = !state.bands),
    ),
  );

function learningTitles() {
  const trained = state.source === "training";
  return {
    xTitle: state.axis === "amount" && !trained ? charts.counted : unitName,
    yTitle: trained ? charts.trained_on : scoreName,
  };
}

// Losses may differ by orders of magnitude; scores are written as in the tables.
const learningText = () => (state.source === "training" && charts.losses ? measureText : undefined);

const learningPlace = (value) => `${countText(value)} ${learningTitles().xTitle}`;

function drawLearning(width) {
  return shownParts()
    .map((part) => ({ part, series: curves(part) }))
    .filter(({ series }) => series.length)
    .map(({ part, series }) =>
      linePanel({
        title: parts[part],
        series,
        width,
        height: HEIGHT,
        placeText: learningPlace,
        yText: learningText(),
        ...learningTitles(),
      }),
    );
}

function learningTables() {
  const { xTitle, yTitle } = learningTitles();
  return shownParts().flatMap((part) => {
    const series = curves(part);
    if (!series.length) return [];
    const places = readingPlaces(series);
    const text = learningText() ?? writer(valuesOf(series));
    const at = (each, place) => {
      const index = each.x.indexOf(place);
      const nearest = index < 0 && places.length < MOST_PLACES ? -1 : nearestIndex(each.x, place);
      return nearest < 0
        ? "–"
        : withBand(each.mean[nearest], each.low?.[nearest], each.high?.[nearest], text);
    };
    const rows = places.map((place) => [countText(place), ...series.map((each) => at(each, place))]);
    return [
      { title: `${parts[part]}: ${yTitle}`, head: [xTitle, ...series.map((each) => each.label)], rows },
    ];
  });
}

function learning() {
  const has = (key) => methods.some((method) => method[key]);
  if (!has("evaluations") && !has("training"))
    return missing("learning", "Nothing was recorded during training.");
  const sources = [
    ...(has("evaluations") ? [{ value: "evaluations", text: `${scoreName} at evaluations` }] : []),
    ...(has("training") ? [{ value: "training", text: charts.trained_on }] : []),
  ];
  const amounts = methods.some((method) => method.evaluations?.amount);
  const axes = [
    { value: "unit", text: unitName },
    ...(amounts ? [{ value: "amount", text: charts.counted }] : []),
  ];
  const controls = [
    partChoices("Tasks", [...parts.keys()]),
    oneOf("Show", "source", sources),
    oneOf("By", "axis", axes),
    bandChoice(),
  ];
  return chart("learning", controls, drawLearning, learningTables);
}
