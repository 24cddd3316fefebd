// Seal header, leaf and path, as docs/spec.md sections 7 and 9 lay them out. Bytes in, values out; throws Refused.

import { Refused } from "./bundle.js";
import { blake3, equal, joined, text, u16, u64, utf8, view } from "./bytes.js";

const MAGIC = utf8("TWZRDSL1");
const FRONT = 26;
const BACK = 20 + 5 * 32;
const ALGORITHM = 1;
const LAYOUT = 1;
const NODE = Uint8Array.of(0x01);
const REF = Uint8Array.of(0x02, 0x01);

// "TWZRDSL1" | u8 algorithm | u8 0 | u16 revision | u32 epoch_length_s | u64 epoch_start_s | u16 length, channel | …
export function header(bytes) {
  if (bytes.length < FRONT + BACK) throw new Refused("seal-length", { bytes: bytes.length });
  const front = view(bytes);
  const starts = equal(bytes.subarray(0, 8), MAGIC) && bytes[8] === ALGORITHM && bytes[9] === 0;
  if (!starts) throw new Refused("seal-magic");
  const channelBytes = front.getUint16(24, true);
  if (bytes.length !== FRONT + channelBytes + BACK) throw new Refused("seal-length", { bytes: bytes.length });
  const back = view(bytes.subarray(FRONT + channelBytes));
  const hashes = [0, 1, 2, 3, 4].map((n) => bytes.slice(FRONT + channelBytes + 20 + 32 * n, FRONT + channelBytes + 52 + 32 * n));
  const [root, policyHash, inputDigest, coverageHash, pepperCommit] = hashes;
  return {
    revision: front.getUint16(10, true),
    epochLengthS: front.getUint32(12, true),
    epochStartS: front.getBigUint64(16, true),
    channel: channelText(bytes.subarray(FRONT, FRONT + channelBytes)),
    leafCount: back.getUint32(0, true),
    ...{ root, policyHash, inputDigest, coverageHash, pepperCommit },
    hash: blake3(bytes),
  };
}

function channelText(bytes) {
  try {
    return text(bytes);
  } catch {
    throw new Refused("seal-channel");
  }
}

// blake3(u16 length || channel || u64 epoch_start_s)[:16]
export function epochTag(channel, epochStartS) {
  const name = utf8(channel);
  return blake3(joined(u16(name.length), name, u64(epochStartS))).subarray(0, 16);
}

// blake3(0x02 || 0x01 || epoch_key || identity)
export function viewerRef(identity, epochKey) {
  return blake3(joined(REF, epochKey, utf8(identity)));
}

// The 96 bytes of a leaf, taken apart.
export function leaf(bytes) {
  const at = view(bytes);
  return {
    prefix: at.getUint8(0),
    layout: at.getUint8(1),
    zero: at.getUint16(2, true),
    index: at.getUint32(4, true),
    epochStartS: at.getBigUint64(8, true),
    ref: bytes.slice(16, 48),
    weightCenti: at.getBigUint64(48, true),
    counts: {
      messages: at.getUint32(56, true),
      subs: at.getUint32(60, true),
      resubs: at.getUint32(64, true),
      gifts: at.getUint32(68, true),
      bits: at.getBigUint64(72, true),
      raidViewers: at.getBigUint64(80, true),
    },
    tag: bytes.slice(88, 96),
  };
}

// What every leaf of that epoch must say.
export function checkLeaf(found, seal) {
  const good = {
    prefix: found.prefix === 0,
    layout: found.layout === LAYOUT && found.zero === 0,
    epoch: found.epochStartS === seal.epochStartS,
    tag: equal(found.tag, epochTag(seal.channel, seal.epochStartS).subarray(0, 8)),
    index: found.index < seal.leafCount,
  };
  const off = Object.keys(good).find((name) => !good[name]);
  if (off !== undefined) throw new Refused("leaf-" + off, { index: found.index, leaves: seal.leafCount });
}

// The counts by the policy's weights, in hundredths; each part for whoever wants to see the sum.
export function weighed(counts, weights) {
  const parts = [
    ["presence", 1n, weights.presence],
    ["subs", BigInt(counts.subs), weights.sub],
    ["resubs", BigInt(counts.resubs), weights.resub],
    ["gifts", BigInt(counts.gifts), weights.gift],
    ["bits", counts.bits, weights.bit],
    ["raidViewers", counts.raidViewers, weights.raid_viewer],
  ];
  return { parts, total: parts.reduce((sum, [, count, weight]) => sum + count * weight, 0n) };
}

// Every node from the leaf's hash up to the root (RFC 6962 section 2.1; the way up as in RFC 9162 section 2.1.3.2).
export function climbed(leafHash, index, leafCount, path) {
  const levels = [];
  let [node, at, last] = [leafHash, index, leafCount - 1];
  for (const beside of path) {
    if (last === 0) throw new Refused("path-long", { steps: path.length });
    const onRight = at % 2 === 1 || at === last;
    node = blake3(onRight ? joined(NODE, beside, node) : joined(NODE, node, beside));
    levels.push({ beside, onRight, node });
    // An odd last node moves up unchanged: no step is there for it.
    while (onRight && at % 2 === 0 && at !== 0) [at, last] = [at >>> 1, last >>> 1];
    [at, last] = [at >>> 1, last >>> 1];
  }
  if (last !== 0) throw new Refused("path-short", { steps: path.length });
  return { root: node, levels };
}
