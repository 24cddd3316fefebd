// What stands around everything: the top line, the notices, the foot, and the pages for those who are not signed in.

import { explained } from "../api.js";
import { button, heading, link, make, section } from "../dom.js";
import { keepPlace, signInUrl } from "../session.js";
import { t } from "../text.js";

export function drawTop(store, session) {
  section(store, document.getElementById("top"), (state) => [state.phase, state.me?.display_name], ({ phase, me }) => [
    link("/claim", "twzrd", { class: "brand" }),
    phase === "in" &&
      make(
        "div",
        { class: "who" },
        make("span", { class: "name" }, me.display_name),
        button(t("sign-out"), { class: "quiet", data: { key: "sign-out" } }, () => session.signOut()),
      ),
  ]);
}

export function drawFoot(store) {
  section(store, document.getElementById("foot"), () => [], () => [
    make("p", {}, t("foot")),
    make("nav", { "aria-label": t("foot.links") }, link("/docs", t("foot.docs")), link("/v1/channels", t("foot.channels"))),
  ]);
}

// Notices come one above the other; each says what is wrong and what to do.
export function drawNotices(store) {
  const select = ({ expired, connection, fault, signInFailed, phase, me }) => [expired, connection, fault, signInFailed, phase, me?.frozen];
  section(store, document.getElementById("notices"), select, (state) => [
    state.signInFailed && notice("warn", t("sign_in." + state.signInFailed), t("sign_in.again"), dismiss(store, "signInFailed")),
    state.expired && notice("warn", t("expired"), t("expired.text"), signIn(store, "expired-sign-in")),
    state.connection !== "there" && notice("calm", t("connection." + state.connection), t("connection.text")),
    state.me?.frozen && state.phase === "in" && notice("calm", t("frozen"), t("frozen.text")),
    state.fault && faultNotice(store, state.fault),
  ]);
}

function notice(kind, title, text, ...acts) {
  return make(
    "div",
    { class: "notice " + kind, role: kind === "bad" ? "alert" : "status" },
    make("div", {}, make("p", { class: "title" }, title), text && make("p", {}, text)),
    ...acts,
  );
}

function faultNotice(store, fault) {
  const { title, text } = explained(fault);
  return notice("bad", title, text, dismiss(store, "fault"));
}

function dismiss(store, field) {
  return button(t("dismiss"), { class: "quiet", data: { key: "dismiss-" + field } }, () => store.set({ [field]: null }));
}

// A link, not a form: the way leads to Twitch and back. What was chosen is kept meanwhile.
export function signIn(store, key) {
  const keep = { click: () => keepPlace(store.state) };
  return link(signInUrl(), t("sign-in"), { class: "button primary twitch", data: { key }, on: keep });
}

export function welcome(store) {
  const promise = (name) => make("li", {}, make("h2", {}, t("welcome." + name)), make("p", {}, t("welcome." + name + ".text")));
  return make(
    "section",
    { class: "welcome", "aria-labelledby": "welcome" },
    make("p", { class: "eyebrow" }, t("welcome.eyebrow")),
    heading(1, "welcome", t("welcome")),
    make("p", { class: "lead" }, t("welcome.text")),
    make("p", { class: "acts" }, signIn(store, "sign-in")),
    make("ul", { class: "promises" }, ["identity", "proof", "forget"].map(promise)),
  );
}

export function forgotten() {
  return make(
    "section",
    { class: "welcome", "aria-labelledby": "forgotten" },
    heading(1, "forgotten", t("forgotten")),
    make("p", { class: "lead" }, t("forgotten.text")),
    make("p", {}, t("forgotten.later")),
  );
}
