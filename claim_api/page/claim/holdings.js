// What the viewer has: totals, hours, weeks and claims, as the server says them now. Asked again whenever something may
// have changed; an answer that comes after a newer question is thrown away.

import { ApiError, read } from "./api.js";
import { allocationKey, claimable } from "./store.js";

const PAGE = 100;
const CLAIMS = 20;
const MOST_PAGES = 50;

export class Holdings {
  constructor(store) {
    this.store = store;
    this.asked = 0;
  }

  async refresh() {
    const ours = ++this.asked;
    try {
      const [hours, weeks, claims] = await Promise.all([
        this.hours(Math.max(1, this.store.state.allocations.length)),
        read("/v1/eligibility/weeks"),
        // Without a mint there are no claims yet, not even a list of them.
        this.store.state.me.mint ? read("/v1/claims?limit=" + CLAIMS) : { claims: [], next_before: null },
      ]);
      if (ours !== this.asked) return;
      const known = new Set(claimable(hours.allocations).map(allocationKey));
      const selected = new Set([...this.store.state.selected].filter((key) => known.has(key)));
      this.store.set({ ...hours, weeks: weeks.weeks, claims: claims.claims, claimsBefore: claims.next_before, selected });
    } catch (error) {
      this.failed(error);
    }
  }

  // The newest hours, at least so many where there are so many.
  async hours(wanted) {
    const allocations = [];
    let page = { next_before: null };
    for (let n = 0; n < MOST_PAGES && (n === 0 || (page.next_before !== null && allocations.length < wanted)); n++) {
      page = await read(hoursUrl(page.next_before));
      allocations.push(...page.allocations);
    }
    return { totals: page.totals, allocations, nextBefore: page.next_before };
  }

  async olderHours() {
    const { nextBefore, allocations } = this.store.state;
    const ours = this.asked;
    try {
      const page = await read(hoursUrl(nextBefore));
      if (ours !== this.asked) return;
      this.store.set({ totals: page.totals, allocations: [...allocations, ...page.allocations], nextBefore: page.next_before });
    } catch (error) {
      this.failed(error);
    }
  }

  async olderClaims() {
    const { claimsBefore, claims } = this.store.state;
    try {
      const page = await read("/v1/claims?limit=" + CLAIMS + "&before=" + encodeURIComponent(claimsBefore));
      this.store.set({ claims: [...claims, ...page.claims], claimsBefore: page.next_before });
    } catch (error) {
      this.failed(error);
    }
  }

  failed(error) {
    // Nobody signed in: the session says so itself.
    if (!(error instanceof ApiError && error.status === 401)) this.store.set({ fault: error });
  }
}

function hoursUrl(before) {
  return "/v1/eligibility?limit=" + PAGE + (before === null ? "" : "&before=" + encodeURIComponent(before));
}
