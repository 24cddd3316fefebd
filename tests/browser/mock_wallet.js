// A wallet by the Wallet Standard, for tests: real Ed25519 signatures by WebCrypto. `options` come before this text.
// window.mockWallet: what it was asked, and what it refuses next.
(() => {
  const bytes = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
  const state = (window.mockWallet = { asked: [], refuse: options.refuse || null });
  const key = crypto.subtle.importKey("pkcs8", bytes("302e020100300506032b657004220420" + options.seed), "Ed25519", false, ["sign"]);
  const sign = async (data) => new Uint8Array(await crypto.subtle.sign("Ed25519", await key, data));
  const account = { address: options.address, publicKey: bytes(options.publicKey), chains: options.chains, features: [] };
  const joined = (...pieces) => Uint8Array.from(pieces.flatMap((piece) => [...piece]));
  const asked = (what) => {
    state.asked.push(what);
    if (state.refuse === what) {
      state.refuse = null;
      throw Object.assign(new Error("User rejected the request."), { code: 4001 });
    }
  };
  const text = (said) =>
    `${said.domain} wants you to sign in with your Solana account:\n${said.address}\n\n${said.statement}\n\n` +
    `URI: ${said.uri}\nVersion: ${said.version}\nChain ID: ${said.chainId}\nNonce: ${said.nonce}\n` +
    `Issued At: ${said.issuedAt}\nExpiration Time: ${said.expirationTime}\nResources:\n- ${said.resources.join("\n- ")}`;
  // As a hardware wallet does it: docs.anza.xyz/proposals/off-chain-message-signing.
  const header = (length) =>
    joined([0xff], new TextEncoder().encode("solana offchain"), [0], new Uint8Array(32), [0, 1], account.publicKey, [length & 255, length >> 8]);
  const signMessage = async (message) => {
    const signedMessage = options.offChain ? joined(header(message.length), message) : message;
    return { signedMessage, signature: await sign(signedMessage) };
  };
  const features = {
    "standard:connect": {
      version: "1.0.0",
      connect: async () => {
        asked("connect");
        wallet.accounts = [account];
        return { accounts: wallet.accounts };
      },
    },
    "standard:events": { version: "1.0.0", on: () => () => {} },
    "solana:signMessage": {
      version: "1.1.0",
      signMessage: async ({ message }) => {
        asked("signMessage");
        return [await signMessage(message)];
      },
    },
    "solana:signTransaction": {
      version: "1.0.0",
      supportedTransactionVersions: ["legacy", 0],
      // Wire form: u8 count of signatures (below 128), the signatures, the message.
      signTransaction: async ({ transaction }) => {
        asked("signTransaction");
        const count = transaction[0];
        const message = transaction.subarray(1 + 64 * count);
        const keys = message.subarray(message[0] & 0x80 ? 5 : 4);
        let place = 0;
        while (place < count && !account.publicKey.every((byte, n) => byte === keys[32 * place + n])) place++;
        const signed = Uint8Array.from(transaction);
        signed.set(await sign(message), 1 + 64 * place);
        return [{ signedTransaction: signed }];
      },
    },
  };
  if (options.signIn)
    features["solana:signIn"] = {
      version: "1.0.0",
      signIn: async (input) => {
        asked("signIn");
        const message = new TextEncoder().encode(text(input) + (options.ownWords ? "\n- twitch:id:1" : ""));
        return [{ account, ...(await signMessage(message)) }];
      },
    };
  const icon = "data:image/svg+xml;base64," + btoa("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle cx='4' cy='4' r='4' fill='#e0a030'/></svg>");
  const wallet = { version: "1.0.0", name: options.name, icon, chains: options.chains, accounts: [], features };
  const register = ({ register: add }) => add(wallet);
  window.addEventListener("wallet-standard:app-ready", ({ detail }) => register(detail));
  window.dispatchEvent(new CustomEvent("wallet-standard:register-wallet", { detail: register }));
})();
