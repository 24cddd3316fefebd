// A proof bundle's form (docs/spec.md, section 12) and its policy's (section 3): exactly these fields, of these kinds.
// Integers beyond what JavaScript's numbers hold are read from their digits.

export const MAX_BYTES = 1024 * 1024;
const MAX_PATH = 64;
const MAX_SEAL_CHARS = 4096;
const MAX_WEIGHT = 10n ** 6n;
const DAY_S = 86400n;

const COMMON = ["v", "seal", "policy", "viewer", "log", "checkpoint", "kind"];
const FIELDS = { presence: [...COMMON, "leaf", "path"], absence: [...COMMON, "viewer_ref", "left", "right"] };
const WEIGHTS = ["presence", "sub", "resub", "gift", "bit", "raid_viewer"];
const POLICY = {
  version: [1n, 2n ** 32n - 1n],
  epoch_length_s: [1n, 31n * DAY_S],
  grace_s: [0n, DAY_S],
  horizon_s: [1n, 31n * DAY_S],
  base_units_per_centi: [0n, 2n ** 63n - 1n],
};

// What does not hold, as a reason with words in the language file (proof.bad.<reason>) and the values they name.
export class Refused extends Error {
  constructor(reason, values = {}, bytes = []) {
    super(reason);
    Object.assign(this, { reason, values, bytes });
  }
}

// The bundle of a JSON text; whole numbers in it are BigInts. Throws Refused.
export function parsed(text) {
  if (text.length > MAX_BYTES) throw new Refused("size", { most: MAX_BYTES });
  let bundle;
  try {
    bundle = JSON.parse(text, (_, value, context) => (typeof value === "number" ? whole(value, context) : value));
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Refused("json");
  }
  if (!isObject(bundle) || !Object.hasOwn(FIELDS, bundle.kind)) throw new Refused("field", { field: "kind" });
  exactly(bundle, FIELDS[bundle.kind], "bundle");
  must(bundle.v === 1n, "v");
  must(isHex(bundle.seal, null) && bundle.seal.length <= MAX_SEAL_CHARS, "seal");
  // A transparency log's inclusion cannot be checked here without the log's key.
  must(bundle.log === null, "log");
  must(bundle.checkpoint === null, "checkpoint");
  if (bundle.viewer !== null) checkViewer(bundle.viewer);
  if (bundle.kind === "presence") checkNeighbour(bundle, "leaf");
  else checkGap(bundle);
  checkPolicy(bundle.policy);
  return bundle;
}

function whole(value, context) {
  const digits = context?.source;
  if (digits === undefined ? Number.isSafeInteger(value) : /^-?(0|[1-9]\d*)$/.test(digits)) return BigInt(digits ?? value);
  throw new Refused("number", { value: digits ?? String(value) });
}

function checkViewer(viewer) {
  must(isObject(viewer), "viewer");
  exactly(viewer, ["identity", "epoch_key"], "viewer");
  must(typeof viewer.identity === "string", "identity");
  must(isHex(viewer.epoch_key, 32), "epoch_key");
}

function checkGap(bundle) {
  must(isHex(bundle.viewer_ref, 32), "viewer_ref");
  for (const side of ["left", "right"]) {
    if (bundle[side] === null) continue;
    must(isObject(bundle[side]), side);
    exactly(bundle[side], ["leaf", "path"], side);
    checkNeighbour(bundle[side], side);
  }
}

function checkNeighbour(found, field) {
  must(isHex(found.leaf, 96), field);
  must(Array.isArray(found.path) && found.path.length <= MAX_PATH && found.path.every((step) => isHex(step, 32)), "path");
}

function checkPolicy(policy) {
  must(isObject(policy), "policy");
  exactly(policy, [...Object.keys(POLICY), "weights_centi", "excluded_logins"], "policy");
  for (const [field, [least, most]] of Object.entries(POLICY)) must(isWithin(policy[field], least, most), field);
  must(isObject(policy.weights_centi), "weights_centi");
  exactly(policy.weights_centi, WEIGHTS, "weights_centi");
  for (const field of WEIGHTS) must(isWithin(policy.weights_centi[field], field === "presence" ? 1n : 0n, MAX_WEIGHT), field);
  const logins = policy.excluded_logins;
  must(Array.isArray(logins) && logins.every((login) => typeof login === "string" && login === login.toLowerCase()), "excluded_logins");
  must(logins.every((login, n) => n === 0 || logins[n - 1] < login), "excluded_logins");
}

// JSON in the one form that is hashed (RFC 8785); all numbers are whole.
export function canonical(value) {
  if (typeof value === "bigint") return value.toString();
  if (Array.isArray(value)) return "[" + value.map(canonical).join(",") + "]";
  if (!isObject(value)) return JSON.stringify(value);
  const pairs = Object.keys(value).sort().map((key) => JSON.stringify(key) + ":" + canonical(value[key]));
  return "{" + pairs.join(",") + "}";
}

function must(good, field) {
  if (!good) throw new Refused("field", { field });
}

function exactly(value, fields, what) {
  const unknown = Object.keys(value).find((field) => !fields.includes(field));
  if (unknown !== undefined) throw new Refused("unknown", { field: unknown.slice(0, 40), what });
  const missing = fields.find((field) => !Object.hasOwn(value, field));
  if (missing !== undefined) throw new Refused("missing", { field: missing, what });
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isWithin(value, least, most) {
  return typeof value === "bigint" && least <= value && value <= most;
}

function isHex(value, bytes) {
  return typeof value === "string" && /^([0-9a-f]{2})*$/.test(value) && (bytes === null || value.length === 2 * bytes);
}
