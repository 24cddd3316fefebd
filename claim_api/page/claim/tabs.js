// Other tabs, and this one when it comes back: each is only a reason to ask the server again.

const CHANNEL = "twzrd-claim";
// A tab that was away for less saw nothing grow old.
const STALE_MS = 5000;

// refresh: asks everything again. Returns what tells the other tabs: "changed", or "left" (signed out or forgotten).
export function watchTabs(refresh, left) {
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener("message", ({ data }) => (data === "left" ? left() : refresh()));
  let hiddenAt = 0;
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hiddenAt = performance.now();
    else if (performance.now() - hiddenAt > STALE_MS) refresh();
  });
  // From the back-forward cache: the page as it was, however long ago.
  addEventListener("pageshow", (event) => event.persisted && refresh());
  addEventListener("online", refresh);
  return (what) => channel.postMessage(what);
}
