// Claims on their way: reserving, following each one until its end, and, where viewers pay the fee, their signature.
// The server alone knows the truth; this page only asks it, and asks again after a reload, a lost network or a new session.

import { ApiError, Away, change, look, read } from "./api.js";
import { t, tokens } from "./text.js";
import { say } from "./dom.js";
import { isRefusal, signTransaction } from "./wallets.js";

const WAIT_MS = 10000;
// `sent` is no state of its own, so nobody is woken for it: look more often until it is there.
const WAIT_FOR_SENT_MS = 1500;
const BREATH_MS = 1000;
const MOST_FOLLOWED = 2;

export const STEPS = ["reserved", "signed", "sent", "confirmed"];

// A claim whose transaction expired is reserved again, whatever it went through before.
export function stepOf(claim) {
  return claim.state === "reserved" ? "reserved" : claim.steps.at(-1).step;
}

export function isOpen(claim) {
  return claim.state === "reserved" || claim.state === "signed";
}

export function wantsSignature(claim) {
  return claim.fee === "viewer" && claim.state === "reserved";
}

export class Claiming {
  constructor(store, holdings, tell, celebrate) {
    Object.assign(this, { store, holdings, tell, celebrate });
    this.followed = new Map();
    this.steps = new Map();
    store.watch((state) => this.announce(state.claims || []));
    store.watch((state) => this.followOpen(state));
  }

  // wanted: "all" or allocations.
  async reserve(wanted) {
    const { me, reserving, claims } = this.store.state;
    if (reserving) return;
    this.store.set({ reserving: true, fault: null });
    const named = wanted === "all" ? "all" : wanted.map(named3);
    const known = new Set((claims || []).map((claim) => claim.claim_id));
    try {
      const claim = await change("/v1/claims", { allocations: named, fee: me.fee });
      this.begun(claim);
    } catch (error) {
      await this.notReserved(error, known);
    }
    this.store.set({ reserving: false });
  }

  begun(claim) {
    this.store.set({ selected: new Set(), claims: [claim, ...(this.store.state.claims || []).filter((one) => one.claim_id !== claim.claim_id)] });
    say(t("said.reserved", { amount: tokens(claim.base_units) }));
    this.tell("changed");
    this.holdings.refresh();
    if (wantsSignature(claim)) this.sign(claim);
  }

  // Without an answer nobody here knows whether it was reserved: the server does.
  async notReserved(error, known) {
    if (error instanceof ApiError && error.status === 401) return;
    if (!(error instanceof Away)) {
      this.store.set({ fault: error });
      return this.holdings.refresh();
    }
    this.store.set({ connection: "away" });
    await this.holdings.refresh();
    const arrived = (this.store.state.claims || []).find((claim) => !known.has(claim.claim_id));
    if (arrived) this.begun(arrived);
    else if (!this.store.state.expired) this.store.set({ fault: error });
  }

  // Whoever brought the news, a long poll or the list read anew: each step is said once.
  announce(claims) {
    for (const claim of claims) {
      const step = stepOf(claim), before = this.steps.get(claim.claim_id);
      this.steps.set(claim.claim_id, step);
      if (before === undefined || before === step) continue;
      say(t("said." + step, { amount: tokens(claim.base_units) }));
      if (claim.state === "confirmed") this.celebrate();
    }
  }

  followOpen(state) {
    const open = state.phase === "in" && !state.expired ? (state.claims || []).filter(isOpen) : [];
    const wanted = new Set(open.slice(0, MOST_FOLLOWED).map((claim) => claim.claim_id));
    for (const [id, stop] of this.followed) if (!wanted.has(id)) stop.abort();
    for (const id of wanted) if (!this.followed.has(id)) this.follow(id);
  }

  async follow(id) {
    const stop = new AbortController();
    this.followed.set(id, stop);
    try {
      for (let claim = this.claim(id); claim && isOpen(claim) && !stop.signal.aborted; claim = this.claim(id)) {
        const waitMs = claim.state === "signed" && stepOf(claim) !== "sent" ? WAIT_FOR_SENT_MS : WAIT_MS;
        const began = performance.now();
        const found = await read("/v1/claims/" + id + "?seen=" + claim.state + "&wait_ms=" + waitMs, { signal: stop.signal, waitMs });
        this.put(found);
        // A server with too many who wait answers at once.
        if (found.state === claim.state && performance.now() - began < waitMs / 2) await breath(stop.signal);
      }
    } catch (error) {
      if (!stop.signal.aborted && !(error instanceof ApiError && error.status === 401)) this.store.set({ fault: error });
    } finally {
      this.followed.delete(id);
    }
  }

  claim(id) {
    return (this.store.state.claims || []).find((claim) => claim.claim_id === id);
  }

  put(found) {
    const before = this.claim(found.claim_id);
    if (!before || JSON.stringify(before) === JSON.stringify(found)) return;
    this.store.set({ claims: this.store.state.claims.map((claim) => (claim.claim_id === found.claim_id ? found : claim)) });
    if (isOpen(found)) return;
    this.tell("changed");
    this.holdings.refresh();
  }

  // Viewer pays: the server makes the transaction, the wallet signs it, the server compares, co-signs and sends it.
  async sign(claim, wallet) {
    const step = (name, more = {}) => this.store.set({ signing: { claimId: claim.claim_id, step: name, ...more } });
    try {
      step("asking");
      const { transaction } = await look("/v1/claims/" + claim.claim_id + "/transaction");
      const signed = await signTransaction(this.store, claim.wallet, transaction, wallet, step);
      if (signed === null) return;
      step("sending");
      this.put(await change("/v1/claims/" + claim.claim_id + "/transaction", { transaction: signed }));
      this.store.set({ signing: null });
    } catch (error) {
      if (isRefusal(error)) step("refused");
      else step("failed", { error });
    }
  }
}

function named3(one) {
  return { channel: one.channel, epoch_start_s: one.epoch_start_s, revision: one.revision };
}

function breath(signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, BREATH_MS);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
