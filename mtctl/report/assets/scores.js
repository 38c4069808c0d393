// Scores.

function scoreRows(part) {
  return shownMethods().map((method) => {
    const found = part ? method.scores.tasks[parts[part]] : method.scores.average;
    return { label: method.label, style: method, mean: found.mean, low: found.low, high: found.high };
  });
}

function baselineScore(part) {
  const baseline = methods.find((method) => method.baseline);
  return methods.length < 2
    ? null
    : (part ? baseline.scores.tasks[parts[part]] : baseline.scores.average).mean;
}

function taskScores() {
  const draw = (width) =>
    state.methods.size
      ? shownParts().map((part) =>
          intervalPanel({
            title: parts[part],
            rows: scoreRows(part),
            reference: baselineScore(part),
            xTitle: scoreName,
            width,
          }),
        )
      : [];
  const tables = () => {
    const columns = shownParts().map(scoreRows);
    const texts = columns.map((rows) => writer(rows.flatMap((row) => [row.mean, row.low, row.high])));
    const rows = shownMethods().map((method, at) => [
      method.label,
      ...columns.map((column, part) =>
        withBand(column[at].mean, column[at].low, column[at].high, texts[part]),
      ),
    ]);
    return [
      { title: `Scores: ${scoreName}`, head: ["method", ...shownParts().map((part) => parts[part])], rows },
    ];
  };
  chart("task-scores", [partChoices("Tasks", [...parts.keys()])], draw, tables);
}

const thresholdText = writer(charts.thresholds);

function profileSeries() {
  return shownMethods().map((method) =>
    banded({ label: method.label, style: method, x: charts.thresholds, ...method.profile }),
  );
}

function profiles() {
  const draw = (width) => {
    const series = profileSeries();
    const names = { title: "Performance profiles", xTitle: `normalised ${scoreName} τ`, yTitle: "share above τ" };
    return series.length
      ? [
          linePanel({
            ...names,
            series,
            width,
            height: 320,
            yRange: [0, 1],
            placeText: (value) => `τ = ${thresholdText(value)}`,
            yText: percentText,
            heading: false,
          }),
        ]
      : [];
  };
  const tables = () => [
    {
      title: "Share of runs and tasks above the normalised score τ",
      head: ["τ", ...shownMethods().map((method) => method.label)],
      rows: charts.thresholds
        .map((value, at) => [
          thresholdText(value),
          ...profileSeries().map((each) =>
            withBand(each.mean[at], each.low?.[at], each.high?.[at], percentText),
          ),
        ])
        .filter((_, at) => at % 5 === 0),
    },
  ];
  chart("profiles", [bandChoice()], draw, tables, true);
}
