// Claims: those on their way with every step, and those that ended.

import { explained } from "../api.js";
import { button, heading, make, outward, section } from "../dom.js";
import { isOpen, stepOf, STEPS, wantsSignature } from "../claiming.js";
import { clock, has, moment, shortAddress, t, tokens } from "../text.js";
import { walletButton } from "./wallet.js";

// A claim that ended while this page looked on stays among those on their way, so that its end is seen.
export function drawOpenClaims(store, claiming) {
  const node = make("section", { class: "open-claims", "aria-labelledby": "open-title" });
  const seen = new Set();
  return section(store, node, ({ claims, signing, wallets }) => [claims, signing, wallets], (state) => {
    for (const claim of state.claims || []) if (isOpen(claim)) seen.add(claim.claim_id);
    const shown = (state.claims || []).filter((claim) => seen.has(claim.claim_id) || claim.state === "held");
    if (!shown.length) return [];
    return [heading(2, "open-title", t(shown.some((claim) => claim.state !== "confirmed") ? "claims.open" : "claims.arrived")), shown.map((claim) => openClaim(store, claiming, claim))];
  });
}

function openClaim(store, claiming, claim) {
  return make(
    "article",
    { class: "card claim " + claim.state, "aria-label": t("claims.label", { amount: tokens(claim.base_units), id: claim.claim_id }) },
    make(
      "div",
      { class: "head" },
      make("p", { class: "title" }, tokens(claim.base_units)),
      make("p", { class: "hint" }, t("claims.to", { address: shortAddress(claim.wallet), hours: t("hours", { count: claim.allocations.length }) })),
    ),
    steps(claim),
    make("p", { class: "now" }, sentence(claim)),
    claim.state === "held" && make("p", { class: "hint" }, heldWhy(claim)),
    wantsSignature(claim) && signature(store, claiming, claim),
    claim.explorer_url && make("p", {}, outward(claim.explorer_url, t("claims.explorer"))),
  );
}

function steps(claim) {
  const at = Object.fromEntries(claim.steps.map((one) => [one.step, one.at]));
  const reached = STEPS.indexOf(stepOf(claim));
  const one = (step, n) => {
    const done = n <= reached;
    const next = n === reached + 1 && isOpen(claim);
    return make(
      "li",
      { class: done ? "done" : next ? "next" : "later", "aria-current": n === reached ? "step" : undefined },
      make("span", { class: "pin", "aria-hidden": "true" }),
      make("span", { class: "name" }, t("step." + step)),
      make("span", { class: "at" }, at[step] ? make("time", { datetime: at[step] }, clock(at[step])) : make("span", { class: "unseen" }, t("step.not-yet"))),
    );
  };
  return make("ol", { class: "steps", "aria-label": t("claims.steps") }, STEPS.map(one));
}

function sentence(claim) {
  if (claim.state === "held") return t("claims.held");
  if (wantsSignature(claim)) return t("claims.wants-signature");
  return t("claims.after." + stepOf(claim));
}

function heldWhy(claim) {
  const key = "held." + claim.held_because;
  return has(key) ? t(key) : t("held.other", { code: claim.held_because });
}

// Viewer pays: what the wallet is asked, and what it said.
function signature(store, claiming, claim) {
  const now = store.state.signing?.claimId === claim.claim_id ? store.state.signing : { step: "idle" };
  const values = { name: now.wallet?.name, address: shortAddress(claim.wallet), cluster: store.state.me.cluster };
  const failed = now.step === "failed" ? explained(now.error) : null;
  const busy = ["asking", "connecting", "signing", "sending"].includes(now.step);
  const act = button(t(now.step === "idle" ? "sign.act" : "again"), { class: "primary", disabled: busy, data: { key: "sign|" + claim.claim_id } }, () => claiming.sign(claim));
  const pick = (wallet) => make("li", {}, walletButton(wallet, () => claiming.sign(claim, wallet)));
  const picks = ["choose", "other-account", "cannot-sign"].includes(now.step);
  return make(
    "div",
    { class: "asking " + now.step },
    make("p", { class: "title" }, failed ? failed.title : t("sign." + now.step, values)),
    make("p", {}, failed ? failed.text : t("sign." + now.step + ".text", values)),
    picks ? make("ul", { class: "wallets" }, store.state.wallets.map(pick)) : !busy && make("div", { class: "acts" }, act),
  );
}

export function drawPastClaims(store, holdings) {
  const node = make("section", { class: "past", "aria-labelledby": "past-title" });
  return section(store, node, ({ claims, claimsBefore }) => [claims, claimsBefore], (state) => {
    const ended = (state.claims || []).filter((claim) => claim.state === "confirmed");
    if (!ended.length) return [];
    const older = button(t("claims.older"), { class: "link", data: { key: "older-claims" } }, () => holdings.olderClaims());
    return [heading(2, "past-title", t("claims.past")), make("ul", { class: "card rows" }, ended.map(past)), state.claimsBefore !== null && older];
  });
}

function past(claim) {
  const at = claim.steps.at(-1)?.at;
  return make(
    "li",
    { class: "row confirmed" },
    make("span", { class: "box mark", "aria-hidden": "true" }),
    make("div", { class: "when" }, make("strong", {}, tokens(claim.base_units)), make("span", { class: "time" }, at ? moment(at) : "")),
    make("div", { class: "coverage" }, t("claims.to", { address: shortAddress(claim.wallet), hours: t("hours", { count: claim.allocations.length }) })),
    claim.explorer_url ? outward(claim.explorer_url, t("claims.explorer.short"), { class: "link", "aria-label": t("claims.explorer.of", { amount: tokens(claim.base_units) }) }) : null,
  );
}
