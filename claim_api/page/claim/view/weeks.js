// The last 26 weeks as bars, and the same as a table for whoever prefers or needs one.

import { draw, heading, make, section } from "../dom.js";
import { amount, minutes, month, percent, t, tokens, weekOf } from "../text.js";

const HOUR_MS = 3600000;
// In units of its own: the picture is stretched to the width there is, so the months stand beneath it as text.
const [WIDTH, HEIGHT, GAP] = [780, 100, 7];
const ROOM_FOR_NAME = 3;

export function drawWeeks(store) {
  const node = make("section", { class: "card weeks", "aria-labelledby": "weeks-title" });
  return section(store, node, ({ weeks }) => [weeks], ({ weeks }) => {
    if (!weeks) return [];
    const head = heading(2, "weeks-title", t("weeks.title"));
    if (!weeks.some((week) => week.hours > 0)) return [head, make("p", { class: "hint" }, t("weeks.empty"))];
    const ascending = [...weeks].sort((one, other) => one.week_start_s - other.week_start_s);
    const shown = make("p", { class: "readout", "aria-hidden": "true" });
    const tell = (week) => shown.replaceChildren(make("strong", {}, tokens(week.base_units)), " " + sentence(week));
    tell(ascending.findLast((week) => week.hours > 0));
    return [make("div", { class: "head" }, head, shown), chart(ascending, tell), table(ascending)];
  });
}

function sentence(week) {
  return t("weeks.readout", { week: weekOf(week.week_start_s), hours: t("hours", { count: week.hours }), observed: observed(week) });
}

function observed(week) {
  return week.hours ? percent(Math.min(1, week.observed_ms / (week.hours * HOUR_MS))) : "–";
}

// A picture only: the table beneath says the same.
function chart(weeks, tell) {
  const most = weeks.reduce((top, week) => (BigInt(week.base_units) > top ? BigInt(week.base_units) : top), 1n);
  const step = (WIDTH + GAP) / weeks.length;
  const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "chart", focusable: "false" });
  const months = make("div", { class: "months" });
  let named = month(weeks[0].week_start_s);
  weeks.forEach((week, n) => {
    const share = Number((BigInt(week.base_units) * 1000n) / most) / 1000;
    const tall = week.hours ? Math.max(4, share * HEIGHT) : 1.5;
    const x = n * step;
    const bar = { x, y: HEIGHT - tall, width: step - GAP, height: tall, class: week.hours ? "some" : "none" };
    const column = draw("g", { class: "week" });
    // The whole height takes the pointer, not only the bar.
    column.append(draw("rect", { x: x - GAP / 2, y: 0, width: step, height: HEIGHT, class: "reach" }), draw("rect", bar));
    column.addEventListener("pointerenter", () => tell(week));
    column.addEventListener("pointerdown", () => tell(week));
    svg.append(column);
    const name = month(week.week_start_s);
    if (name !== named && n <= weeks.length - ROOM_FOR_NAME) {
      const label = make("span", {}, name);
      label.style.left = (x / WIDTH) * 100 + "%";
      months.append(label);
    }
    named = name;
  });
  return make("div", { class: "picture", "aria-hidden": "true" }, svg, months);
}

function table(weeks) {
  const rows = [...weeks].reverse().map((week) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, weekOf(week.week_start_s)),
      make("td", {}, amount(week.base_units)),
      make("td", {}, String(week.hours)),
      make("td", {}, week.hours ? t("weeks.observed", { seen: minutes(week.observed_ms), of: week.hours * 60 }) : "–"),
    ),
  );
  const columns = ["week", "amount", "hours", "observed"].map((name) => make("th", { scope: "col" }, t("weeks.column." + name)));
  return make(
    "details",
    { class: "table" },
    make("summary", { data: { key: "weeks-table" } }, t("weeks.table")),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": "weeks-title" }, make("table", {}, make("thead", {}, make("tr", {}, columns)), make("tbody", {}, rows))),
  );
}
