// Where claims go: the wallet in force, one that waits its time, or the way to connect one.

import { explained } from "../api.js";
import { button, heading, make, outward, section } from "../dom.js";
import { moment, shortAddress, t } from "../text.js";
import { iconOf, networksOf } from "../wallets.js";

const HOMES = { Phantom: "https://phantom.com/", Solflare: "https://www.solflare.com/", Backpack: "https://backpack.app/" };
const BUSY = new Set(["connecting", "asking", "signing", "saving"]);

export function drawWallet(store, binding) {
  const node = make("section", { class: "card wallet", "aria-labelledby": "wallet-title" });
  const select = ({ me, wallets, binding: now, changingWallet }) => [me, wallets, now, changingWallet];
  return section(store, node, select, (state) => {
    if (!state.me) return [];
    const { me, changingWallet } = state;
    const head = heading(2, "wallet-title", t("wallet.title"));
    const bound = [me.wallet && inForce(me), me.next_wallet && waiting(state, binding)].filter(Boolean);
    if (bound.length && !changingWallet) {
      const other = button(t("wallet.change"), { class: "link", data: { key: "change-wallet" } }, () => store.set({ changingWallet: true, binding: { step: "idle" } }));
      return [head, bound, other];
    }
    const leave = changingWallet === "keep" ? "wallet.not-now" : "wallet.keep";
    const keep = bound.length ? button(t(leave), { class: "link", data: { key: "keep-wallet" } }, () => store.set({ changingWallet: false })) : null;
    return [head, bound, progress(store, binding) || choice(state, binding), keep];
  });
}

function inForce({ wallet }) {
  return make(
    "div",
    { class: "address" },
    make("span", { class: "dot", "aria-hidden": "true" }),
    make("span", { class: "mono", title: wallet.wallet }, shortAddress(wallet.wallet)),
    make("span", { class: "hint" }, t("wallet.since", { at: moment(wallet.effective_at) })),
  );
}

function waiting({ me: { wallet, next_wallet: next }, changingWallet }, binding) {
  const values = { address: shortAddress(next.wallet), at: moment(next.effective_at), kept: wallet && shortAddress(wallet.wallet) };
  if (!wallet) return make("p", { class: "hint next" }, t("wallet.waits", values));
  const keep = button(t("wallet.next.keep"), { class: "primary", data: { key: "void-next" } }, () => binding.keep());
  return make(
    "div",
    { class: "asking next" },
    make("p", { class: "title" }, t("wallet.next")),
    make("p", { title: next.wallet }, t("wallet.next.text", values)),
    make("p", {}, t("wallet.next.mend", values)),
    changingWallet === "keep" ? null : make("div", { class: "acts" }, keep),
  );
}

function choice({ wallets, me, changingWallet }, binding) {
  if (!wallets.length) return none();
  const pick = (wallet) =>
    make("li", {}, walletButton(wallet, () => binding.connect(wallet)));
  const hint = changingWallet === "keep" ? t("wallet.choose.kept", { address: shortAddress(me.wallet.wallet) }) : t("wallet.choose", { name: me.display_name });
  return [make("p", { class: "hint" }, hint), make("ul", { class: "wallets" }, wallets.map(pick))];
}

export function walletButton(wallet, click) {
  const icon = iconOf(wallet);
  const picture = icon ? make("img", { src: icon, alt: "", width: 24, height: 24 }) : null;
  const node = button(wallet.name, { class: "pick", data: { key: "wallet|" + wallet.name } }, click);
  if (picture) node.prepend(picture);
  return node;
}

function none() {
  const homes = Object.entries(HOMES).map(([name, url]) => make("li", {}, outward(url, name)));
  const mobile = matchMedia("(pointer: coarse)").matches;
  return [
    make("p", {}, t("wallet.none")),
    make("p", { class: "hint" }, t(mobile ? "wallet.none.mobile" : "wallet.none.install")),
    mobile ? make("ul", { class: "homes" }, mobileLinks()) : make("ul", { class: "homes" }, homes),
  ];
}

// Each of these apps opens an address in its own browser, where its wallet is at hand.
function mobileLinks() {
  const [here, site] = [location.origin + location.pathname, location.origin].map(encodeURIComponent);
  const ways = {
    Phantom: "https://phantom.app/ul/browse/" + here + "?ref=" + site,
    Solflare: "https://solflare.com/ul/v1/browse/" + here + "?ref=" + site,
  };
  return Object.entries(ways).map(([name, url]) => make("li", {}, outward(url, t("wallet.open-in", { name }))));
}

// What the wallet is asked or said last; nothing while nobody began.
function progress(store, binding) {
  const { step, wallet, account, error } = store.state.binding;
  if (step === "idle" || step === "done") return null;
  const me = store.state.me;
  const values = { name: wallet.name, cluster: me.cluster, networks: account?.chains ? networksOf(account).join(", ") : "", address: account ? shortAddress(account.address) : "" };
  const again = button(t("again"), { class: "primary", data: { key: "wallet-again" } }, () => binding.connect(wallet));
  const back = button(t("wallet.other"), { class: "quiet", data: { key: "wallet-back" } }, () => binding.step("idle"));
  const said = step === "failed" ? explained(error) : { title: t("wallet." + step, values), text: t("wallet." + step + ".text", values) };
  const acts = {
    network: [again, button(t("wallet.network.anyway"), { class: "quiet", data: { key: "wallet-anyway" } }, () => binding.prove(wallet, account)), back],
    differs: [button(t("wallet.differs.act"), { class: "primary", data: { key: "wallet-plain" } }, () => binding.prove(wallet, account, true)), back],
  }[step] || (BUSY.has(step) ? [back] : [again, back]);
  return make(
    "div",
    { class: "asking " + (BUSY.has(step) ? "busy" : step) },
    make("p", { class: "title" }, said.title),
    make("p", {}, said.text),
    make("div", { class: "acts" }, acts),
  );
}
