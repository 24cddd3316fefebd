// The viewer's wallet, by the Wallet Standard: which there are, connecting one, Sign-In With Solana once, and signing a
// transaction where viewers pay the fee. The page sees addresses and signatures, never a key.

import { getWallets } from "./vendor/walletstandard/wallets.js";
import { ApiError, change } from "./api.js";

const CONNECT = "standard:connect";
const SIGN_IN = "solana:signIn";
const SIGN_MESSAGE = "solana:signMessage";
const SIGN_TRANSACTION = "solana:signTransaction";
const LAST_USED = "twzrd-claim-wallet";
const USER_REJECTED = 4001;

// A wallet says no in many words; all of them mean that its owner did not want to.
const NO = /reject|declin|denied|cancel|refus|dismiss|closed/i;

export function isRefusal(error) {
  if (error instanceof ApiError) return false;
  return error?.code === USER_REJECTED || NO.test(String(error?.name)) || NO.test(String(error?.message || error));
}

export function watchWallets(store) {
  const { get, on } = getWallets();
  const look = () => store.set({ wallets: get().filter(usable) });
  on("register", look);
  on("unregister", look);
  look();
}

function usable(wallet) {
  const features = wallet.features;
  return wallet.chains.some(isSolana) && CONNECT in features && (SIGN_IN in features || SIGN_MESSAGE in features);
}

function isSolana(chain) {
  return chain.startsWith("solana:");
}

export function chainOf(me) {
  return "solana:" + me.cluster;
}

export function networksOf(account) {
  return account.chains.filter(isSolana).map((chain) => chain.slice("solana:".length));
}

// A picture that a wallet brings along: data of an image, as the standard says; anything else is left out.
export function iconOf(wallet) {
  return /^data:image\/(svg\+xml|webp|png|gif);base64,/.test(wallet.icon) ? wallet.icon : null;
}

export class Binding {
  constructor(store, session, tell) {
    Object.assign(this, { store, session, tell });
  }

  step(step, more = {}) {
    this.store.set({ binding: { step, ...more } });
  }

  // The wallet in force is signed for once more, which voids the change that waits.
  async keep() {
    this.store.set({ changingWallet: "keep", binding: { step: "idle" } });
    const wallet = walletOf(this.store.state.wallets, this.store.state.me.wallet.wallet);
    if (wallet) await this.connect(wallet);
  }

  async connect(wallet) {
    const { changingWallet, me } = this.store.state;
    const kept = changingWallet === "keep" ? { address: me.wallet.wallet } : null;
    this.step("connecting", { wallet });
    try {
      const account = await connected(wallet, kept?.address);
      if (!account) return this.step(kept ? "not-held" : "no-account", { wallet, account: kept });
      if (!account.chains.includes(chainOf(this.store.state.me))) return this.step("network", { wallet, account });
      await this.prove(wallet, account);
    } catch (error) {
      this.failed(error, wallet);
    }
  }

  // plain: the server's text by signMessage, for wallets that write the sign-in differently.
  async prove(wallet, account, plain = !(SIGN_IN in wallet.features)) {
    try {
      this.step("asking", { wallet, account });
      const challenge = await change("/v1/wallet/challenge", { wallet: account.address });
      this.step("signing", { wallet, account });
      const signed = plain ? await signMessage(wallet, account, challenge.message) : await signIn(wallet, challenge.input);
      if (signed.address !== account.address) return this.step("other-account", { wallet, account });
      this.step("saving", { wallet, account });
      await change("/v1/wallet", {
        nonce: challenge.nonce,
        signed_message: base64(signed.message),
        signature: base64(signed.signature),
        // A hardware wallet puts a header before the text, which begins with a byte that no text has.
        form: signed.message[0] === 0xff ? "off-chain" : "siws",
      });
      localStorage.setItem(LAST_USED, wallet.name);
      this.step("done", { wallet, account });
      this.store.set({ changingWallet: false });
      await this.session.load();
      this.tell("changed");
    } catch (error) {
      const differs = error instanceof ApiError && error.code === "wallet_refused" && !plain && SIGN_MESSAGE in wallet.features;
      if (differs) this.step("differs", { wallet, account });
      else this.failed(error, wallet);
    }
  }

  failed(error, wallet) {
    if (isRefusal(error)) this.step("refused", { wallet });
    else if (error instanceof ApiError && error.status === 401) this.step("idle");
    else this.step("failed", { wallet, error });
  }
}

async function connected(wallet, address) {
  const { accounts } = await wallet.features[CONNECT].connect();
  return accounts.find((account) => account.chains.some(isSolana) && (!address || account.address === address)) || null;
}

async function signIn(wallet, input) {
  const [signed] = await wallet.features[SIGN_IN].signIn(input);
  return { address: signed.account.address, message: signed.signedMessage, signature: signed.signature };
}

async function signMessage(wallet, account, text) {
  const message = new TextEncoder().encode(text);
  const [signed] = await wallet.features[SIGN_MESSAGE].signMessage({ account, message });
  return { address: account.address, message: signed.signedMessage, signature: signed.signature };
}

// The transaction signed by the account of that address, base64; null where the viewer must do something first, which
// `step` was told.
export async function signTransaction(store, address, transaction, picked, step) {
  const wallet = picked || walletOf(store.state.wallets, address);
  if (!wallet) {
    step("choose");
    return null;
  }
  step("connecting", { wallet });
  let account = wallet.accounts.find((one) => one.address === address);
  if (!account) account = (await wallet.features[CONNECT].connect()).accounts.find((one) => one.address === address);
  const chain = chainOf(store.state.me);
  if (!account) step("other-account", { wallet });
  else if (!(SIGN_TRANSACTION in wallet.features)) step("cannot-sign", { wallet });
  else if (!account.chains.includes(chain)) step("network", { wallet, account });
  else {
    step("signing", { wallet });
    const bytes = Uint8Array.from(atob(transaction), (letter) => letter.charCodeAt(0));
    const [signed] = await wallet.features[SIGN_TRANSACTION].signTransaction({ account, transaction: bytes, chain });
    return base64(signed.signedTransaction);
  }
  return null;
}

// The one that has the account already, else the one used last, else the only one.
function walletOf(wallets, address) {
  const last = localStorage.getItem(LAST_USED);
  return (
    wallets.find((wallet) => wallet.accounts.some((account) => account.address === address)) ||
    wallets.find((wallet) => wallet.name === last) ||
    (wallets.length === 1 ? wallets[0] : null)
  );
}

function base64(bytes) {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
