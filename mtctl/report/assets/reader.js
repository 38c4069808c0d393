// Reading a chart: the value under the pointer, or the one that arrow keys lead to. It is shown beside the place
// and told to screen readers.

const spoken = el("p", { class: "unseen", "aria-live": "polite", id: "spoken" });
document.body.append(spoken);

// `places` are what can be read: {x, y, title, rows: [{style, label, value}]}; `moves` maps a key to a step from
// the place at an index; `nearest` finds a place from coordinates in the drawing; `mark` shows where it is.
function readable(plot, drawing, { label, places, moves, nearest, mark }) {
  const tip = el("div", { class: "tip", hidden: true });
  let at = null;
  filled(
    plot,
    {
      tabindex: 0,
      role: "application",
      "aria-roledescription": "chart",
      "aria-label": `${label} Arrow keys tell values.`,
    },
    [tip],
  );

  function show(index, aloud) {
    at = index;
    const place = places(index);
    tip.replaceChildren(...tipContent(place));
    tip.hidden = false;
    mark(index);
    settle(tip, plot, place);
    if (aloud)
      spoken.textContent = `${place.title}. ${place.rows.map((row) => `${row.label}: ${row.value}`).join("; ")}`;
  }

  function hide() {
    at = null;
    tip.hidden = true;
    mark(null);
  }

  const follow = (event) => {
    const box = drawing.getBoundingClientRect();
    const scale = drawing.viewBox.baseVal.width / box.width;
    const found = nearest((event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
    if (found === null) hide();
    else show(found, false);
  };
  for (const happens of ["pointermove", "pointerdown"]) plot.addEventListener(happens, follow);
  for (const happens of ["pointerleave", "pointercancel", "blur"]) plot.addEventListener(happens, hide);
  plot.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hide();
    const to = moves(event.key, at);
    if (to === null || to === undefined) return undefined;
    event.preventDefault();
    return show(to, true);
  });
}

function tipContent({ title, rows }) {
  const lines = rows.map((row) => [
    el("dd", {}, row.style ? swatch(row.style) : ""),
    el("dt", {}, row.label),
    el("dd", {}, row.value),
  ]);
  return [el("p", {}, title), el("dl", {}, ...lines)];
}

// Beside the place, on the side where there is room.
function settle(tip, plot, { x, y }) {
  const box = plot.getBoundingClientRect();
  const place = x * box.width;
  const left = place < box.width / 2 ? place + 14 : place - tip.offsetWidth - 14;
  const room = document.documentElement.clientWidth - box.left - tip.offsetWidth - 8;
  tip.style.left = `${Math.max(8 - box.left, Math.min(left, room))}px`;
  tip.style.top = `${Math.max(0, y)}px`;
}

// Keys that go along one line of places.
function along(count, back, forward) {
  return (key, at) => {
    if (key === "Home") return 0;
    if (key === "End") return count - 1;
    if (back.includes(key)) return at === null ? count - 1 : Math.max(0, at - 1);
    if (forward.includes(key)) return at === null ? 0 : Math.min(count - 1, at + 1);
    return null;
  };
}
