// "Check my proof": a bundle, from the server or from a file, recomputed here, and every step shown with its bytes.

import { ApiError, explained, look, readText } from "../api.js";
import { button, heading, make } from "../dom.js";
import { checkBundle } from "../proof/check.js";
import { MAX_BYTES } from "../proof/bundle.js";
import { day, span, t, tokens } from "../text.js";

export class Proofs {
  constructor(store) {
    this.store = store;
    this.shown = 0;
    this.dialog = make("dialog", { class: "proof", "aria-labelledby": "proof-title" });
    document.body.append(this.dialog);
  }

  // Of one hour of the list: its own bundle, which must then be about that hour and this viewer.
  async open(one) {
    const ours = this.begin();
    try {
      const text = await readText(one.proof);
      if (ours === this.shown) await this.show(text, ours, one);
    } catch (error) {
      if (ours !== this.shown) return;
      const { title, text } = explained(error);
      this.fill(make("p", { class: "verdict bad" }, title), make("p", {}, text));
    }
  }

  async openFile(file) {
    const ours = this.begin();
    const text = file.size > MAX_BYTES ? "" : await file.text();
    if (ours === this.shown) await this.show(text, ours, null);
  }

  begin() {
    this.fill(make("p", { class: "hint" }, t("proof.reading")));
    if (!this.dialog.open) this.dialog.showModal();
    return ++this.shown;
  }

  async show(text, ours, one) {
    const found = checkBundle(text);
    if (one) found.steps.push(sameHour(found, one, this.store.state.me));
    found.steps.push(await published(found));
    if (ours !== this.shown) return;
    const good = found.steps.every((step) => step.outcome === "good" || step.outcome === "none");
    this.fill(
      make("p", { class: "verdict " + (good ? "good" : "bad") }, t(good ? "proof.holds" : "proof.fails")),
      good && make("p", { class: "lead" }, summary(found, one, this.store.state.me)),
      make("ol", { class: "checks" }, found.steps.map(stepShown)),
      make("p", { class: "acts" }, download(text, found), make("span", { class: "hint" }, t("proof.offline"))),
    );
  }

  fill(...children) {
    const close = button(t("close"), { class: "quiet close" }, () => this.dialog.close());
    const head = make("div", { class: "head" }, heading(2, "proof-title", t("proof.title")), close);
    this.dialog.replaceChildren(head, make("div", { class: "body" }, children));
    if (this.dialog.open) document.getElementById("proof-title").focus();
  }
}

// A good proof of something else proves nothing about this hour.
function sameHour(found, one, me) {
  const step = { step: "same", values: { login: one.login, day: day(one.epoch_start_s), span: span(one.epoch_start_s, one.epoch_length_s) }, bytes: [] };
  if (!found.good) return { ...step, outcome: "unreached" };
  const { facts } = found;
  const hour = facts.channel === one.channel && facts.epochStartS === one.epoch_start_s && facts.revision === one.revision;
  // A later revision pays what it adds only, so its amount may be less than its weight's.
  const worth = one.revision === 0 ? facts.baseUnits === BigInt(one.base_units) : facts.baseUnits >= BigInt(one.base_units);
  const same = found.kind === "presence" && hour && facts.identity === me.viewer && worth;
  return same ? { ...step, outcome: "good" } : { ...step, outcome: "bad", reason: "same" };
}

// The seal of the bundle against the one that everybody is shown; without the server this says nothing, good or bad.
async function published(found) {
  const step = { step: "published", values: {}, bytes: [] };
  if (!found.good) return { ...step, outcome: "unreached" };
  const { channel, epochStartS, revision, sealHash } = found.facts;
  try {
    const epoch = await look("/v1/epochs/" + encodeURIComponent(channel) + "/" + epochStartS + "?revision=" + revision);
    const bytes = [["seal-hash", sealHash], ["published", epoch.seal_hash]];
    return epoch.seal_hash === sealHash ? { ...step, outcome: "good", bytes } : { ...step, outcome: "bad", reason: "published", bytes };
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return { ...step, outcome: "none" };
    return { ...step, outcome: "none" };
  }
}

// By the names of the list where the bundle was found to be about one of its lines, else by what the bundle says.
function summary({ kind, facts }, one, me) {
  const when = { day: day(facts.epochStartS), span: span(facts.epochStartS, facts.epochLengthS) };
  const who = one ? me.display_name : facts.identity ?? t("proof.somebody");
  const values = { ...when, who, channel: one ? one.login : facts.channel, amount: tokens(facts.baseUnits) };
  return t("proof.says." + kind, values);
}

function stepShown({ step, outcome, reason, values, bytes }) {
  const key = { good: "proof.good." + step, bad: "proof.bad." + reason, none: "proof.none." + step }[outcome];
  const text = key && t(key, { ...values, ...words(values) });
  return make(
    "li",
    { class: outcome },
    make("span", { class: "pin", "aria-hidden": "true" }),
    make(
      "div",
      {},
      make("p", { class: "title" }, t("proof.step." + step), make("span", { class: "unseen" }, t("proof.outcome." + outcome))),
      text && make("p", {}, text),
      bytes?.length ? shownBytes(bytes) : null,
    ),
  );
}

// The sum behind a weight, as one writes it: 1 × 100 + 50 × 1 = 150.
function words(values) {
  const more = {};
  if (values.epochStartS !== undefined) more.day = day(values.epochStartS);
  if (!values.parts) return more;
  const counted = values.parts.filter(([, count]) => count > 0n);
  more.sum = counted.map(([name, count, weight]) => t("proof.part." + name, { count, weight })).join(" + ");
  if (values.baseUnits !== undefined) more.amount = tokens(values.baseUnits);
  return more;
}

function shownBytes(bytes) {
  const rows = bytes.map(([name, value]) => [make("dt", {}, t("bytes." + name)), make("dd", { class: "mono" }, value)]);
  return make("details", { class: "bytes" }, make("summary", {}, t("proof.bytes")), make("dl", {}, rows));
}

function download(text, { facts }) {
  const name = facts ? "proof-" + facts.channel.replaceAll(":", "-") + "-" + facts.epochStartS + ".json" : "proof.json";
  return button(t("proof.download"), { class: "quiet" }, () => {
    const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    make("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  });
}

// A place for a bundle from anywhere, for those who are not signed in, too.
export function proofDesk(proofs) {
  const input = make("input", { type: "file", id: "proof-file", accept: ".json,application/json" });
  const take = (files) => files.length && proofs.openFile(files[0]);
  input.addEventListener("change", () => {
    take(input.files);
    input.value = "";
  });
  const node = make(
    "section",
    { class: "card desk", "aria-labelledby": "desk-title" },
    heading(2, "desk-title", t("desk.title")),
    make("p", { class: "hint" }, t("desk.text")),
    make("label", { class: "drop", for: "proof-file" }, make("span", { class: "button quiet" }, t("desk.pick")), make("span", { class: "hint" }, t("desk.drop")), input),
  );
  const over = (event, on) => {
    event.preventDefault();
    node.classList.toggle("over", on);
  };
  node.addEventListener("dragover", (event) => over(event, true));
  node.addEventListener("dragleave", (event) => over(event, false));
  node.addEventListener("drop", (event) => {
    over(event, false);
    take(event.dataTransfer.files);
  });
  return node;
}
