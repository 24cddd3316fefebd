// The first thing to see: what can be claimed now, and how it stands to everything that was ever earned.

import { button, heading, make, section } from "../dom.js";
import { chosen } from "../store.js";
import { amount, t, tokens } from "../text.js";

const PARTS = ["claimed", "pending", "claimable"];

export function drawTotals(store, claiming, askForWallet) {
  const node = make("section", { class: "totals", "aria-labelledby": "totals-title" });
  const select = ({ totals, me, reserving, expired }) => [totals, me, reserving, expired];
  return section(store, node, select, (state) => {
    if (!state.totals) return [heading(1, "totals-title", t("totals.loading")), make("div", { class: "skeleton big" })];
    const { totals } = state;
    return [
      heading(1, "totals-title", t("totals.title")),
      make("p", { class: "figure" }, make("span", {}, amount(totals.claimable.base_units)), make("span", { class: "unit" }, t("token"))),
      acts(state, claiming, askForWallet),
      bar(totals),
      make("dl", { class: "parts" }, part("entitled", totals), PARTS.map((name) => part(name, totals))),
    ];
  });
}

function part(name, totals) {
  return make("div", { class: "part " + name }, make("dt", {}, t("totals." + name)), make("dd", {}, tokens(totals[name].base_units)));
}

// How everything that was earned divides; the list beside says the same in words.
function bar(totals) {
  const all = BigInt(totals.entitled.base_units);
  const node = make("div", { class: "bar", "aria-hidden": "true" });
  if (all === 0n) return node;
  for (const name of PARTS) {
    const share = Number((BigInt(totals[name].base_units) * 10000n) / all) / 100;
    if (share === 0) continue;
    const piece = make("span", { class: name });
    piece.style.width = share + "%";
    node.append(piece);
  }
  return node;
}

function acts(state, claiming, askForWallet) {
  const { totals, me, reserving, expired } = state;
  if (BigInt(totals.claimable.base_units) === 0n) return make("p", { class: "lead" }, t(emptyReason(totals)));
  if (!me.mint) return make("p", { class: "lead" }, t("totals.no-mint"));
  if (!me.wallet) {
    const act = me.next_wallet ? null : button(t("totals.connect"), { class: "primary", data: { key: "main-act" } }, askForWallet);
    return make("p", { class: "acts" }, act, make("span", { class: "hint" }, t(me.next_wallet ? "totals.wallet-waits" : "totals.connect.hint")));
  }
  const label = reserving ? t("claim.reserving") : t("claim.all", { amount: tokens(totals.claimable.base_units) });
  const off = reserving || expired || me.frozen;
  return make(
    "p",
    { class: "acts" },
    button(label, { class: "primary", disabled: off, data: { key: "main-act" } }, () => claiming.reserve("all")),
    make("span", { class: "hint" }, t("claim.fee." + me.fee)),
  );
}

function emptyReason(totals) {
  if (BigInt(totals.entitled.base_units) === 0n) return "totals.nothing-yet";
  return BigInt(totals.pending.base_units) > 0n ? "totals.on-their-way" : "totals.all-claimed";
}

// At the foot of the window while hours are chosen.
export function drawChosen(store, claiming, askForWallet) {
  const node = make("section", { class: "chosen", "aria-label": t("chosen.label") });
  const select = ({ selected, allocations, me, reserving, expired }) => [selected, allocations, me, reserving, expired];
  return section(store, node, select, (state) => {
    const hours = chosen(state);
    if (!hours.length || !state.me) return [];
    const sum = hours.reduce((total, one) => total + BigInt(one.base_units), 0n);
    const { me, reserving, expired } = state;
    const clear = button(t("chosen.clear"), { class: "quiet", data: { key: "clear" } }, () => store.set({ selected: new Set() }));
    const claim = me.wallet
      ? button(t(reserving ? "claim.reserving" : "claim.chosen"), { class: "primary", disabled: reserving || expired || me.frozen || !me.mint, data: { key: "claim-chosen" } }, () => claiming.reserve(hours))
      : button(t("totals.connect"), { class: "primary", data: { key: "claim-chosen" } }, askForWallet);
    return [
      make("p", {}, make("strong", {}, tokens(sum)), make("span", {}, t("chosen.hours", { count: hours.length }))),
      make("div", { class: "acts" }, clear, claim),
    ];
  });
}
