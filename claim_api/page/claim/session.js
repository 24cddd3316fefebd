// Who is signed in: asked of the server, never remembered here. A session that ends leaves the page as it is and asks
// to sign in again; what was chosen is kept over the way through Twitch.

import { ApiError, change, read, look, useCsrf } from "./api.js";
import { has } from "./text.js";

const PLACE = "twzrd-claim-place";

export class Session {
  constructor(store, tell) {
    this.store = store;
    this.tell = tell;
  }

  // True where somebody is signed in.
  async load() {
    try {
      this.take(await read("/v1/me"));
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // 404: the server has no claim side at all; then nobody can sign in, and the page says so.
      if (error.status !== 401) this.store.set({ phase: "out", fault: error });
      else if (this.store.state.phase === "loading") this.store.set({ phase: "out" });
      return false;
    }
  }

  take(me) {
    const before = this.store.state.me;
    // Another person signed in meanwhile (in another tab): nothing of the first one may stay on the page.
    if (before && before.viewer !== me.viewer) return location.reload();
    useCsrf(me.csrf);
    this.store.set({ me, phase: "in", expired: false });
  }

  // The session of this browser is another one than the page's token belongs to.
  async renew() {
    try {
      const me = await look("/v1/me");
      const same = this.store.state.me?.viewer === me.viewer;
      this.take(me);
      return same;
    } catch {
      return false;
    }
  }

  over() {
    if (this.store.state.phase === "in") this.store.set({ expired: true });
  }

  async signOut() {
    try {
      await change("/auth/sign-out");
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 401)) return this.store.set({ fault: error });
    }
    this.leave("out");
  }

  async forget() {
    this.store.set({ forgetting: "asking" });
    try {
      await change("/v1/opt-out");
    } catch (error) {
      return this.store.set({ forgetting: "idle", fault: error });
    }
    this.leave("forgotten");
  }

  leave(phase) {
    forgetPlace();
    this.store.set({ phase, me: null, expired: false, totals: null, allocations: [], claims: null, weeks: null });
    this.store.set({ selected: new Set(), opened: new Map(), fault: null, forgetting: "idle", proof: null });
    useCsrf(null);
    this.tell("left");
  }
}

// How the way through Twitch ended, if it failed; the address is cleaned, so that a reload does not say it again.
export function signInOutcome() {
  const url = new URL(location.href);
  const code = url.searchParams.get("sign_in");
  if (code === null) return null;
  url.searchParams.delete("sign_in");
  history.replaceState(null, "", url.pathname + url.search);
  return has("sign_in." + code) ? code : "away";
}

export function signInUrl() {
  return "/auth/twitch/login?return=" + encodeURIComponent(location.pathname);
}

export function keepPlace(state) {
  if (!state.me) return;
  const place = { viewer: state.me.viewer, selected: [...state.selected], opened: [...state.opened], scroll: scrollY };
  sessionStorage.setItem(PLACE, JSON.stringify(place));
}

// What was kept, where it is this viewer's; once.
export function takePlace(viewer) {
  try {
    const place = JSON.parse(sessionStorage.getItem(PLACE));
    return place?.viewer === viewer ? place : null;
  } catch {
    return null;
  } finally {
    forgetPlace();
  }
}

function forgetPlace() {
  sessionStorage.removeItem(PLACE);
}
