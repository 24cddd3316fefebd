// Begins here: the language, the state, the parts that know things, the parts that show them.

import { configure } from "./api.js";
import { Claiming } from "./claiming.js";
import { confetti } from "./confetti.js";
import { focus, make, say, section } from "./dom.js";
import { Holdings } from "./holdings.js";
import { Session, signInOutcome, takePlace } from "./session.js";
import { emptyState, Store } from "./store.js";
import { watchTabs } from "./tabs.js";
import { loadTexts, t } from "./text.js";
import { drawOpenClaims, drawPastClaims } from "./view/claims.js";
import { drawForget } from "./view/forget.js";
import { drawFoot, drawNotices, drawTop, forgotten, welcome } from "./view/frame.js";
import { drawHours } from "./view/hours.js";
import { proofDesk, Proofs } from "./view/proof.js";
import { drawChosen, drawTotals } from "./view/totals.js";
import { drawWallet } from "./view/wallet.js";
import { drawWeeks } from "./view/weeks.js";
import { Binding, watchWallets } from "./wallets.js";

async function begin() {
  const store = new Store(emptyState());
  store.set({ signInFailed: signInOutcome() });
  let tellTabs = () => {};
  const tell = (what) => tellTabs(what);
  const session = new Session(store, tell);
  const holdings = new Holdings(store);
  configure((connection) => store.state.connection !== connection && store.set({ connection }), {
    renew: () => session.renew(),
    over: () => session.over(),
  });
  const claiming = new Claiming(store, holdings, tell, confetti);
  const binding = new Binding(store, session, tell);
  document.title = t("title");
  document.getElementById("skip").textContent = t("skip");
  draw(store, { session, holdings, claiming, binding });
  sayWalletSteps(store);

  const refresh = async () => {
    if (store.state.phase !== "forgotten" && (await session.load())) await holdings.refresh();
  };
  tellTabs = watchTabs(refresh, () => location.reload());
  watchWallets(store);
  if (!(await session.load())) return;
  const place = takePlace(store.state.me.viewer);
  if (place) store.set({ selected: new Set(place.selected), opened: new Map(place.opened) });
  await holdings.refresh();
  if (place) requestAnimationFrame(() => scrollTo(0, place.scroll));
}

function draw(store, { session, holdings, claiming, binding }) {
  const askForWallet = () => focus("wallet-title");
  const proofs = new Proofs(store);
  drawTop(store, session);
  drawNotices(store);
  drawFoot(store);
  const hero = make("div", { class: "hero" }, drawTotals(store, claiming, askForWallet), drawOpenClaims(store, claiming), drawWallet(store, binding));
  const signedIn = [
    hero,
    drawWeeks(store),
    drawHours(store, holdings, proofs),
    drawChosen(store, claiming, askForWallet),
    drawPastClaims(store, holdings),
  ];
  const desk = proofDesk(proofs);
  const forget = drawForget(store, session);
  const pages = {
    loading: () => [make("div", { class: "skeleton big" }), make("div", { class: "skeleton" })],
    out: () => [welcome(store), desk],
    in: () => [...signedIn, desk, forget],
    forgotten: () => [forgotten(), desk],
  };
  const main = document.getElementById("main");
  section(store, main, ({ phase }) => [phase], ({ phase }) => {
    main.className = phase;
    main.setAttribute("aria-busy", phase === "loading");
    if (phase === "forgotten") queueMicrotask(() => document.getElementById("forgotten").focus());
    return pages[phase]();
  });
}

// What the wallet is asked and says, for those who do not see it.
function sayWalletSteps(store) {
  let before = store.state.binding;
  store.watch(({ binding, me }) => {
    if (binding === before) return;
    before = binding;
    const values = { name: binding.wallet?.name, cluster: me?.cluster, networks: "", address: "" };
    if (binding.step !== "idle" && binding.step !== "failed") say(t("wallet." + binding.step, values));
  });
}

try {
  await loadTexts();
  await begin();
} catch (error) {
  // Not even the words could be read: nothing but a sign can be shown.
  console.error(error);
  document.getElementById("main").append(make("a", { href: location.pathname, class: "button" }, "↻"));
}
