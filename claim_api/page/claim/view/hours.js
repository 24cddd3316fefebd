// Every hour that counted, by channel: when, how much of it was observed, what it is worth, how it stands, its proof.

import { button, heading, make, section } from "../dom.js";
import { allocationKey, claimable } from "../store.js";
import { amount, day, minutes, span, t, tokens } from "../text.js";

export function drawHours(store, holdings, proofs) {
  const node = make("section", { class: "hours", "aria-labelledby": "hours-title" });
  const select = ({ totals, allocations, nextBefore, selected, opened }) => [totals, allocations, nextBefore, selected, opened];
  return section(store, node, select, (state) => {
    if (!state.totals) return [];
    const head = heading(2, "hours-title", t("hours.title"));
    if (!state.allocations.length) return [head, make("p", { class: "hint" }, t("hours.empty"))];
    const channels = byChannel(state.allocations);
    const older = button(t("hours.older"), { class: "wide", data: { key: "older-hours" } }, () => holdings.olderHours());
    return [head, channels.map((hours, n) => channel(store, proofs, hours, n === 0)), state.nextBefore !== null && older];
  });
}

// Channels by the newest hour in each; hours newest first.
function byChannel(allocations) {
  const found = new Map();
  for (const one of allocations) found.set(one.channel, [...(found.get(one.channel) || []), one]);
  return [...found.values()];
}

function channel(store, proofs, hours, first) {
  const { channel: id, login } = hours[0];
  const { opened, selected } = store.state;
  const open = opened.get(id) ?? first;
  const free = claimable(hours);
  const picked = free.filter((one) => selected.has(allocationKey(one))).length;
  const sum = hours.reduce((total, one) => total + BigInt(one.base_units), 0n);
  const toggle = ({ currentTarget }) => {
    if (currentTarget.open !== (store.state.opened.get(id) ?? first)) store.set({ opened: new Map(store.state.opened).set(id, currentTarget.open) });
  };
  const all = make("input", {
    type: "checkbox",
    checked: free.length > 0 && picked === free.length,
    indeterminate: picked > 0 && picked < free.length,
    disabled: free.length === 0,
    data: { key: "all|" + id },
    on: { change: ({ target }) => choose(store, free, target.checked) },
  });
  return make(
    "details",
    { class: "card channel", open, on: { toggle } },
    make(
      "summary",
      { data: { key: "channel|" + id } },
      make("span", { class: "avatar", "aria-hidden": "true" }, login.slice(0, 1).toUpperCase()),
      make("span", { class: "whose" }, make("span", { class: "login" }, login), make("span", { class: "hint" }, coverageOf(hours))),
      make("strong", { class: "sum" }, tokens(sum)),
    ),
    free.length > 1 && make("label", { class: "all" }, all, t("hours.all", { login })),
    make("ul", { class: "rows" }, hours.map((one) => row(store, proofs, one))),
  );
}

function coverageOf(hours) {
  const seen = hours.reduce((sum, one) => sum + one.observed_ms, 0);
  const of = hours.reduce((sum, one) => sum + one.epoch_length_s * 1000, 0);
  return t("hours.channel", { hours: t("hours", { count: hours.length }), seen: minutes(seen), of: minutes(of) });
}

function row(store, proofs, one) {
  const key = allocationKey(one);
  const standing = one.state === "claimable" && one.stopped ? "stopped" : one.state;
  const when = { day: day(one.epoch_start_s), span: span(one.epoch_start_s, one.epoch_length_s) };
  const box = make("input", {
    type: "checkbox",
    checked: store.state.selected.has(key),
    data: { key: "hour|" + key },
    "aria-label": t("hours.choose", { ...when, login: one.login, amount: tokens(one.base_units) }),
    on: { change: ({ target }) => choose(store, [one], target.checked) },
  });
  const check = button(t("proof.check"), { class: "link", data: { key: "proof|" + key } }, () => proofs.open(one));
  check.setAttribute("aria-label", t("proof.check.of", { ...when, login: one.login }));
  return make(
    "li",
    { class: "row " + standing },
    claimable([one]).length ? make("span", { class: "box" }, box) : make("span", { class: "box mark", "aria-hidden": "true" }),
    make(
      "div",
      { class: "when" },
      make("span", { class: "date" }, when.day),
      make("span", { class: "time" }, when.span),
      one.revision > 0 && make("span", { class: "tag" }, t("hours.revision", { revision: one.revision })),
    ),
    coverage(one),
    make("div", { class: "worth" }, make("strong", {}, amount(one.base_units)), make("span", { class: "state" }, t("hours." + standing))),
    check,
  );
}

function coverage(one) {
  const fill = make("span", {});
  const share = Math.min(1, one.observed_ms / (one.epoch_length_s * 1000));
  fill.style.width = share * 100 + "%";
  const words = t("hours.observed", { seen: minutes(one.observed_ms), of: minutes(one.epoch_length_s * 1000) });
  return make("div", { class: "coverage" + (share < 0.9 ? " thin" : "") }, make("span", { class: "meter", "aria-hidden": "true" }, fill), words);
}

function choose(store, hours, on) {
  const selected = new Set(store.state.selected);
  for (const one of hours) {
    if (on) selected.add(allocationKey(one));
    else selected.delete(allocationKey(one));
  }
  store.set({ selected });
}
