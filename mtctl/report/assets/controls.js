// Buttons that choose what is shown.

const redraws = [];
const redraw = () => redraws.forEach((draw) => draw());

function choices(title, ...buttons) {
  return el(
    "div",
    { class: "choices", role: "group", "aria-label": title },
    el("span", { class: "about", "aria-hidden": "true" }, title),
    ...buttons,
  );
}

// A button that is pressed as long as `pressed` says so.
function toggle(content, pressed, press, kind = "") {
  const button = el("button", { type: "button", class: kind }, ...content);
  const follow = () => button.setAttribute("aria-pressed", String(pressed()));
  follow();
  redraws.push(follow);
  button.addEventListener("click", () => {
    press();
    redraw();
  });
  return button;
}

function flip(set, value) {
  if (!set.delete(value)) set.add(value);
}

function plainButton(text, press) {
  const button = el("button", { type: "button", class: "plain" }, text);
  button.addEventListener("click", () => {
    press();
    redraw();
  });
  return button;
}

function methodChoices() {
  if (methods.length === 1) return null;
  const all = () => methods.forEach((method) => state.methods.add(method.index));
  return choices(
    "Methods",
    ...methods.map((method) =>
      toggle(
        [swatch(method), el("span", {}, method.label)],
        () => state.methods.has(method.index),
        () => flip(state.methods, method.index),
      ),
    ),
    el(
      "span",
      { class: "both" },
      plainButton("all", all),
      plainButton("none", () => state.methods.clear()),
    ),
  );
}

function partChoices(title, shown, look = () => null) {
  if (shown.length < 2) return null;
  return choices(
    title,
    ...shown.map((part) =>
      toggle(
        [look(part) ?? "", el("span", {}, parts[part])],
        () => state.parts.has(part),
        () => flip(state.parts, part),
      ),
    ),
  );
}

// One of several: `entries` are {value, text}.
function oneOf(title, key, entries) {
  if (entries.length < 2) return null;
  return choices(
    title,
    ...entries.map(({ value, text }) =>
      toggle(
        [text],
        () => state[key] === value,
        () => (state[key] = value),
        "one",
      ),
    ),
  );
}

// The chart's figures as tables, made when they are asked for. `tables` returns [{title, head, rows}].
function asTable(figure, tables) {
  const body = el("div");
  const details = el("details", { class: "as-table" }, el("summary", {}, "These figures as a table"), body);
  const fill = () => {
    body.replaceChildren(
      ...(details.open ? tables() : []).map(({ title, head, rows }) =>
        el(
          "div",
          { class: "scroll", role: "region", tabindex: 0, "aria-label": title },
          el("p", { class: "title" }, title),
          el(
            "table",
            { "aria-label": title },
            el(
              "thead",
              {},
              el(
                "tr",
                {},
                ...head.map((name, at) => el("th", { scope: "col", class: at ? "number" : null }, name)),
              ),
            ),
            el(
              "tbody",
              {},
              ...rows.map((row) =>
                el(
                  "tr",
                  {},
                  ...row.map((cell, at) =>
                    el(at ? "td" : "th", at ? { class: "number" } : { scope: "row" }, cell),
                  ),
                ),
              ),
            ),
          ),
        ),
      ),
    );
  };
  details.addEventListener("toggle", fill);
  redraws.push(fill);
  figure.append(details);
}

// The button for day and night; the system's choice holds until it is pressed.
function themeButton() {
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const dark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const follow = () => button.setAttribute("aria-pressed", String(dark()));
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    follow();
  });
  system.addEventListener("change", follow);
  button.hidden = false;
  follow();
}
