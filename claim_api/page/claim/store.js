// What the page knows, in one object. Whoever watches is called once for any number of changes made together.

export class Store {
  constructor(state) {
    this.state = state;
    this.watchers = [];
    this.due = false;
  }

  set(changes) {
    Object.assign(this.state, changes);
    if (this.due) return;
    this.due = true;
    queueMicrotask(() => {
      this.due = false;
      for (const watcher of this.watchers) watcher(this.state);
    });
  }

  watch(watcher) {
    this.watchers.push(watcher);
    watcher(this.state);
  }
}

// phase: loading | out (nobody signed in) | in | forgotten. Everything else is what the server said last, or what the
// viewer has chosen on this page.
export function emptyState() {
  return {
    phase: "loading",
    signInFailed: null,
    me: null,
    expired: false,
    connection: "there",
    fault: null,
    totals: null,
    allocations: [],
    nextBefore: null,
    weeks: null,
    claims: null,
    claimsBefore: null,
    selected: new Set(),
    opened: new Map(),
    reserving: false,
    signing: null,
    wallets: [],
    binding: { step: "idle" },
    changingWallet: false,
    proof: null,
    forgetting: "idle",
  };
}

export function allocationKey(one) {
  return one.channel + "|" + one.epoch_start_s + "|" + one.revision;
}

// What can be claimed now. A stopped channel waits for a ruling.
export function claimable(allocations) {
  return allocations.filter((one) => one.state === "claimable" && !one.stopped);
}

export function chosen(state) {
  return claimable(state.allocations).filter((one) => state.selected.has(allocationKey(one)));
}
