// A wallet for those who have none, in the demo only: Wallet Standard, Ed25519 by WebCrypto. Its key is made in this
// browser, kept in its IndexedDB, and can be read out by nobody, this page included. Never part of a real site: the
// server offers it on a local chain only.
"use strict";
(() => {
  const NAME = "Demo wallet";
  const CHAINS = ["solana:localnet"];
  const VERSION = "1.0.0";
  const REJECTED = 4001;
  const NOTE =
    "This is a demo: “" + NAME + "” is no real wallet. Its key is kept in this browser, its chain runs on this machine only, and its tokens are worth nothing.";
  const CANNOT = "This is a demo, and this browser cannot make Ed25519 keys, so there is no demo wallet. Take a current one.";
  const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

  function base58(bytes) {
    let number = 0n;
    for (const byte of bytes) number = number * 256n + BigInt(byte);
    let text = "";
    for (; number; number /= 58n) text = BASE58[Number(number % 58n)] + text;
    const zeros = bytes.findIndex((byte) => byte);
    return "1".repeat(zeros < 0 ? bytes.length : zeros) + text;
  }

  function store(mode, act) {
    return new Promise((resolve, reject) => {
      const opening = indexedDB.open("twzrd-demo-wallet", 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore("keys");
      opening.onerror = () => reject(opening.error);
      opening.onsuccess = () => {
        const moving = opening.result.transaction("keys", mode);
        const request = act(moving.objectStore("keys"));
        moving.oncomplete = () => {
          opening.result.close();
          resolve(request.result);
        };
        moving.onabort = () => reject(moving.error);
      };
    });
  }

  async function keyPair() {
    const kept = await store("readonly", (keys) => keys.get("only"));
    if (kept) return kept;
    const made = await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
    // Another tab may have been quicker: its key stands, since it may be bound already.
    await store("readwrite", (keys) => keys.add(made, "only")).catch(() => {});
    return store("readonly", (keys) => keys.get("only"));
  }

  let opened = null;
  async function open() {
    const keys = await keyPair();
    const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", keys.publicKey));
    const account = { address: base58(publicKey), publicKey, chains: CHAINS, features: Object.keys(features), label: NAME };
    wallet.accounts = [account];
    for (const tell of listeners) tell({ accounts: wallet.accounts });
    return { account, sign: async (bytes) => new Uint8Array(await crypto.subtle.sign("Ed25519", keys.privateKey, bytes)) };
  }
  const unlocked = () => (opened ??= open());

  function ask(what) {
    if (!confirm(NAME + ": " + what)) throw Object.assign(new Error("The user rejected the request."), { code: REJECTED });
  }

  // As createSignInMessageText of @solana/wallet-standard-util writes it.
  function signInText(said) {
    const fields = [
      ["URI", said.uri],
      ["Version", said.version],
      ["Chain ID", said.chainId],
      ["Nonce", said.nonce],
      ["Issued At", said.issuedAt],
      ["Expiration Time", said.expirationTime],
      ["Not Before", said.notBefore],
      ["Request ID", said.requestId],
    ];
    const lines = fields.filter(([, value]) => value !== undefined).map(([label, value]) => `${label}: ${value}`);
    if (said.resources) lines.push("Resources:", ...said.resources.map((one) => "- " + one));
    const head = `${said.domain} wants you to sign in with your Solana account:\n${said.address}`;
    return head + (said.statement === undefined ? "" : "\n\n" + said.statement) + (lines.length ? "\n\n" + lines.join("\n") : "");
  }

  async function signIn(...inputs) {
    const { account, sign } = await unlocked();
    const signed = [];
    for (const input of inputs.length ? inputs : [{}]) {
      const said = { ...input, domain: input.domain ?? location.host, address: input.address ?? account.address };
      if (said.domain !== location.host) throw new Error(`${said.domain} is not this site, ${location.host}`);
      if (said.address !== account.address) throw new Error(`${said.address} is not this wallet's account`);
      ask("sign this?\n\n" + signInText(said));
      const signedMessage = new TextEncoder().encode(signInText(said));
      signed.push({ account, signedMessage, signature: await sign(signedMessage), signatureType: "ed25519" });
    }
    return signed;
  }

  async function signMessage(...inputs) {
    const { sign } = await unlocked();
    const signed = [];
    for (const { message } of inputs) {
      // A transaction begins with its number of signers, or its version: such bytes are never signed as a message.
      if (message[0] < 0x20 || message[0] & 0x80) throw new Error("these bytes are no text");
      ask("sign this?\n\n" + new TextDecoder().decode(message));
      signed.push({ signedMessage: message, signature: await sign(message), signatureType: "ed25519" });
    }
    return signed;
  }

  async function signTransaction(...inputs) {
    const { account, sign } = await unlocked();
    const signed = [];
    for (const { transaction } of inputs) {
      // Wire form: u8 count of signatures (below 128), the signatures, the message with its signers first.
      const count = transaction[0];
      const message = transaction.subarray(1 + 64 * count);
      const keys = message.subarray(message[0] & 0x80 ? 5 : 4);
      let place = 0;
      while (place < count && !account.publicKey.every((byte, n) => byte === keys[32 * place + n])) place++;
      if (count > 127 || place >= count) throw new Error("this account is no signer of the transaction");
      ask("sign this transaction for " + location.host + "?");
      const signedTransaction = Uint8Array.from(transaction);
      signedTransaction.set(await sign(message), 1 + 64 * place);
      signed.push({ signedTransaction });
    }
    return signed;
  }

  const listeners = new Set();
  const features = {
    "standard:connect": { version: VERSION, connect: async () => (await unlocked(), { accounts: wallet.accounts }) },
    "standard:events": {
      version: VERSION,
      on: (_event, listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    "solana:signIn": { version: VERSION, signIn },
    "solana:signMessage": { version: "1.1.0", signMessage },
    "solana:signTransaction": { version: VERSION, supportedTransactionVersions: ["legacy", 0], signTransaction },
  };
  const picture =
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><rect width='16' height='16' rx='4' fill='#b36b00'/>" +
    "<text x='8' y='12' font-size='11' text-anchor='middle' fill='#fff' font-family='sans-serif'>D</text></svg>";
  const wallet = { version: VERSION, name: NAME, icon: "data:image/svg+xml;base64," + btoa(picture), chains: CHAINS, accounts: [], features };

  function show(text) {
    const note = document.createElement("p");
    note.id = "demo-wallet-note";
    note.setAttribute("role", "note");
    note.textContent = text;
    Object.assign(note.style, { margin: "0", padding: "0.5rem 1rem", background: "#5c3700", color: "#fff", textAlign: "center" });
    document.body.insertBefore(note, document.body.querySelector("header"));
  }

  async function able() {
    try {
      await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
      return true;
    } catch {
      return false;
    }
  }

  able().then((can) => {
    show(can ? NOTE : CANNOT);
    if (!can) return;
    const register = ({ register: add }) => add(wallet);
    addEventListener("wallet-standard:app-ready", ({ detail }) => register(detail));
    dispatchEvent(new CustomEvent("wallet-standard:register-wallet", { detail: register }));
  });
})();
