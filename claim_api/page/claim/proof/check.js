// Checks a proof bundle, step by step, in this browser: nothing is asked of any server. The same rules as
// `twzrd verify`; docs/spec.md says them. Each step says how it went, with the values and bytes it went by.

import { canonical, parsed, Refused } from "./bundle.js";
import { blake3, equal, hex, unhex, utf8 } from "./bytes.js";
import { checkLeaf, climbed, epochTag, header, leaf, viewerRef, weighed } from "./evidence.js";

const STEPS = {
  presence: ["form", "seal", "policy", "leaf", "viewer", "weight", "hash", "path"],
  absence: ["form", "seal", "policy", "viewer", "left", "right", "gap"],
};
const EMPTY = blake3(new Uint8Array(0));

// text: a bundle's JSON. {good, kind, steps: [{step, outcome, values, bytes, reason}], facts}; outcome is good, bad,
// none (nothing to check there) or unreached. facts are there when all is good.
export function checkBundle(text) {
  const known = {};
  const steps = [];
  let failed = null;
  for (const step of ["form", ...STEPS[kindOf(text)].slice(1)]) {
    if (failed) {
      steps.push({ step, outcome: "unreached", values: {}, bytes: [] });
      continue;
    }
    try {
      const found = CHECKS[step](known, text);
      steps.push({ step, outcome: found.none ? "none" : "good", values: found.values || {}, bytes: found.bytes || [] });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      failed = error;
      steps.push({ step, outcome: "bad", reason: error.reason, values: error.values, bytes: error.bytes });
    }
  }
  return { good: !failed, kind: known.bundle?.kind || null, steps, facts: failed ? null : facts(known) };
}

// Which steps there are to show; what is not even JSON is shown as a failed proof of presence.
function kindOf(text) {
  try {
    return JSON.parse(text).kind === "absence" ? "absence" : "presence";
  } catch {
    return "presence";
  }
}

const CHECKS = {
  form(known, text) {
    known.bundle = parsed(text);
    return { values: { kind: known.bundle.kind } };
  },

  seal(known) {
    const bytes = unhex(known.bundle.seal);
    const seal = (known.seal = header(bytes));
    const values = { channel: seal.channel, epochStartS: Number(seal.epochStartS), leaves: seal.leafCount, revision: seal.revision };
    return { values, bytes: [["seal", hex(bytes)], ["seal-hash", hex(seal.hash)], ["root", hex(seal.root)]] };
  },

  policy({ bundle, seal }) {
    const text = canonical(bundle.policy);
    const hash = blake3(utf8(text));
    const bytes = [["policy", text], ["computed", hex(hash)], ["in-seal", hex(seal.policyHash)]];
    if (!equal(hash, seal.policyHash)) throw new Refused("policy-hash", {}, bytes);
    if (bundle.policy.epoch_length_s !== BigInt(seal.epochLengthS)) throw new Refused("policy-length", {}, bytes);
    return { values: { version: String(bundle.policy.version) }, bytes };
  },

  leaf(known) {
    const bytes = unhex(known.bundle.leaf);
    known.leaf = leaf(bytes);
    checkLeaf(known.leaf, known.seal);
    const tag = hex(epochTag(known.seal.channel, known.seal.epochStartS));
    return { values: { index: known.leaf.index, leaves: known.seal.leafCount }, bytes: [["leaf", hex(bytes)], ["tag", tag]] };
  },

  viewer({ bundle, leaf: ours }) {
    if (bundle.viewer === null) return { none: true };
    const wanted = ours ? ours.ref : unhex(bundle.viewer_ref);
    const { identity, epoch_key: epochKey } = bundle.viewer;
    const ref = viewerRef(identity, unhex(epochKey));
    const bytes = [["epoch-key", epochKey], ["computed", hex(ref)], ["in-leaf", hex(wanted)]];
    if (!equal(ref, wanted)) throw new Refused("viewer", { identity }, bytes);
    return { values: { identity }, bytes };
  },

  weight(known) {
    return { values: checkWeight(known.leaf, known.bundle.policy) };
  },

  hash(known) {
    known.leafHash = blake3(unhex(known.bundle.leaf));
    return { values: {}, bytes: [["leaf-hash", hex(known.leafHash)]] };
  },

  path({ bundle, seal, leaf: ours, leafHash }) {
    return checkPath(bundle.path, ours, leafHash, seal);
  },

  left: (known) => checkNeighbour(known, "left"),
  right: (known) => checkNeighbour(known, "right"),

  gap({ bundle, seal, left, right }) {
    const ref = bundle.viewer_ref;
    const bytes = [["left-ref", left && hex(left.ref)], ["ref", ref], ["right-ref", right && hex(right.ref)]].filter(([, one]) => one);
    const refuse = (reason, values = {}) => {
      throw new Refused(reason, values, bytes);
    };
    if (!left && !right) {
      if (seal.leafCount !== 0 || !equal(seal.root, EMPTY)) refuse("gap-empty", { leaves: seal.leafCount });
      return { values: { left: 0, right: 0 }, bytes };
    }
    if (left && right && left.index + 1 !== right.index) refuse("gap-apart", { left: left.index, right: right.index });
    if (!left && right.index !== 0) refuse("gap-edge", { index: right.index });
    if (!right && left.index !== seal.leafCount - 1) refuse("gap-edge", { index: left.index });
    // Lowercase hex of one length sorts as the bytes do.
    if (left && !(hex(left.ref) < ref)) refuse("gap-order");
    if (right && !(ref < hex(right.ref))) refuse("gap-order");
    return { values: {}, bytes };
  },
};

function checkWeight(found, policy) {
  const { parts, total } = weighed(found.counts, policy.weights_centi);
  const values = { weightCenti: found.weightCenti, parts, messages: found.counts.messages };
  if (total !== found.weightCenti || total === 0n) throw new Refused("weight", { ...values, total });
  return { ...values, baseUnits: total * policy.base_units_per_centi };
}

function checkPath(path, found, leafHash, seal) {
  const { root, levels } = climbed(leafHash, found.index, seal.leafCount, path.map(unhex));
  const bytes = levels.flatMap(({ beside, onRight, node }) => [[onRight ? "beside-left" : "beside-right", hex(beside)], ["node", hex(node)]]);
  bytes.push(["computed", hex(root)], ["in-seal", hex(seal.root)]);
  if (!equal(root, seal.root)) throw new Refused("path-root", { steps: path.length }, bytes);
  return { values: { count: path.length }, bytes };
}

function checkNeighbour(known, side) {
  const given = known.bundle[side];
  if (given === null) return { none: true };
  const bytes = unhex(given.leaf);
  const found = (known[side] = leaf(bytes));
  checkLeaf(found, known.seal);
  checkWeight(found, known.bundle.policy);
  const path = checkPath(given.path, found, blake3(bytes), known.seal);
  return { values: { index: found.index, leaves: known.seal.leafCount }, bytes: [["leaf", hex(bytes)], ...path.bytes] };
}

function facts({ bundle, seal, leaf: ours }) {
  return {
    channel: seal.channel,
    epochStartS: Number(seal.epochStartS),
    epochLengthS: seal.epochLengthS,
    revision: seal.revision,
    sealHash: hex(seal.hash),
    identity: bundle.viewer?.identity ?? null,
    weightCenti: ours ? ours.weightCenti : 0n,
    baseUnits: ours ? ours.weightCenti * bundle.policy.base_units_per_centi : 0n,
  };
}
