// Questions to the server, and what may come of them: an answer, an ApiError (it said why not), or Away (no answer).
// Reads are asked again until they are answered; changes are sent once, since only the server knows what became of them.

import { t, has } from "./text.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;
const TIMEOUT_MS = 15000;
const BUSY = new Set([429, 502, 503, 504]);

export class ApiError extends Error {
  constructor(status, code, message, mend, retryAfterS) {
    super(message);
    Object.assign(this, { status, code, mend, retryAfterS });
  }
}

export class Away extends Error {}

let csrf = null;
let heard = () => {};

// store: learns whether the server answers. renew: called when the session's token is another one now; true if it was
// replaced and the question may be put once more. over: called when nobody is signed in any more.
let hooks = { renew: async () => false, over: () => {} };

export function configure(listener, given) {
  heard = listener;
  hooks = given;
}

export function useCsrf(token) {
  csrf = token;
}

export async function change(path, body = {}) {
  try {
    return await once("POST", path, body);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 403 && error.code === "csrf" && (await hooks.renew()))) throw error;
    return once("POST", path, body);
  }
}

// One read, asked once: for the caller that decides itself what to do without an answer.
export function look(path, options) {
  return once("GET", path, undefined, options);
}

// A file as the server wrote it, byte for byte.
export function readText(path, options) {
  if (!path.startsWith("/v1/")) throw new Away("not ours: " + path);
  return once("GET", path, undefined, { ...options, raw: true });
}

// The same until there is an answer or `signal` says stop. A server that has too much to do is left alone for a while.
export async function read(path, { signal, waitMs = 0 } = {}) {
  for (let tries = 0; ; tries++) {
    try {
      const found = await look(path, { signal, waitMs });
      heard("there");
      return found;
    } catch (error) {
      if (signal?.aborted) throw error;
      const busy = error instanceof ApiError && BUSY.has(error.status);
      if (!(error instanceof Away) && !busy) throw error;
      heard(busy ? "busy" : "away");
      await pause(tries, signal, error.retryAfterS);
    }
  }
}

async function once(method, path, body, { signal, waitMs = 0, raw = false } = {}) {
  const headers = method === "POST" ? { "content-type": "application/json", ...(csrf && { "x-csrf-token": csrf }) } : {};
  const late = AbortSignal.timeout(TIMEOUT_MS + waitMs);
  let answer, said;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: method === "POST" ? JSON.stringify(body) : undefined,
      signal: signal ? AbortSignal.any([signal, late]) : late,
      credentials: "same-origin",
      cache: "no-store",
    });
    const text = await answer.text();
    if (raw && answer.ok) return text;
    said = text ? JSON.parse(text) : null;
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Away(String(error));
  }
  if (answer.ok) return said;
  const after = Number(answer.headers.get("retry-after")) || undefined;
  const error = new ApiError(answer.status, said?.code || "", said?.message || "", said?.mend || "", after);
  if (error.status === 401) hooks.over();
  throw error;
}

// Longer each time, with some chance so that not everybody asks at once; a network that comes back ends it.
function pause(tries, signal, retryAfterS = 0) {
  const most = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** tries);
  const waitMs = Math.max(most / 2 + (Math.random() * most) / 2, retryAfterS * 1000);
  return new Promise((resolve, reject) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      signal?.removeEventListener("abort", stop);
      resolve();
    };
    const stop = () => {
      done();
      reject(signal.reason);
    };
    const timer = setTimeout(done, waitMs);
    addEventListener("online", done);
    signal?.addEventListener("abort", stop);
  });
}

// What went wrong, in the viewer's language where we have words for it, else in the server's own.
export function explained(error) {
  if (error instanceof Away) return { title: t("fault.away"), text: t("fault.away.text") };
  if (error instanceof ApiError) {
    const key = "error." + error.code;
    if (has(key)) return { title: t(key), text: has(key + ".text") ? t(key + ".text") : error.mend };
    return { title: error.message || t("fault.other"), text: error.mend };
  }
  return { title: t("fault.other"), text: String(error?.message || error) };
}
